#!/bin/sh
# Measures this machine: the programs in bench/, then the command's own measurements. tools/bench.sh build/release
# [PROGRAM...]. The output also goes to build/bench/<date>.txt, to be laid beside a later run's. TEXT: the text to train
# on at the end.
set -u
cd "$(dirname "$0")/.." || exit 1
B=$1
shift
mkdir -p build/bench
out=build/bench/$(date -u +%Y%m%dT%H%M%SZ).txt
model=build/bench/model.gguf
text=${TEXT:-../shared/data/tinyshakespeare.txt}
code=0
measure() {
    echo "== $*"
    "$@" 2>&1 || {
        echo "failed with exit code $?"
        return 1
    }
}
{
    "$B/mote" doctor 2>&1
    for program in "$@"; do measure "$program" || code=1; done
    measure "$B/mote" init --dim 128 --layers 4 --context 1024 --vocab 1024 --force --output "$model" || code=1
    measure "$B/mote" bench "$model" --output md || code=1
    measure "$B/mote" bench "$model" --output json || code=1
    measure "$B/mote" bench train --dim 128 --layers 4 --batch 16 --context 256 --vocab 1024 --json || code=1
    # nanoGPT's task for a CPU on a megabyte of text; its validation loss there is 1.892.
    if [ -r "$text" ]; then
        begin=$(date +%s.%N)
        measure "$B/mote" train "$text" -o build/bench/fast.gguf --dim 64 --layers 2 --heads 2 --context 64 --batch 16 \
            --steps 380 --lr 0.025 --sample-every 0 --evaluate-every 380 --force --quiet --json >build/bench/fast.txt ||
            code=1
        end=$(date +%s.%N)
        cat build/bench/fast.txt
        awk -v begin="$begin" -v end="$end" 'match($0, /"loss":[0-9.]*/) {
            printf "nanoGPT task: %.2f s of wall time, validation loss %.4f (mark: 1.892)\n", end - begin,
                substr($0, RSTART + 7, RLENGTH - 7)
        }' build/bench/fast.txt
    else
        echo "skip the nanoGPT task: no ${text} here; TEXT=FILE takes another text"
    fi
    echo "$code" >build/bench/code
} | tee "$out"
echo "saved in $out"
exit "$(cat build/bench/code)"
