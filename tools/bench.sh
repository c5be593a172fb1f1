#!/bin/sh
# Measures this machine: the programs in bench/, then the command's own measurements. tools/bench.sh build/release
# [PROGRAM...]. The output also goes to build/bench/<date>.txt, to be laid beside a later run's.
set -u
cd "$(dirname "$0")/.." || exit 1
B=$1
shift
mkdir -p build/bench
out=build/bench/$(date -u +%Y%m%dT%H%M%SZ).txt
model=build/bench/model.gguf
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
    measure "$B/mote" init --dim 128 --layers 4 --context 1024 --vocab 1024 --output "$model" || code=1
    measure "$B/mote" bench "$model" --output md || code=1
    measure "$B/mote" bench "$model" --output json || code=1
    measure "$B/mote" bench train --dim 128 --layers 4 --batch 16 --context 256 --vocab 1024 --json || code=1
    echo "$code" >build/bench/code
} | tee "$out"
echo "saved in $out"
exit "$(cat build/bench/code)"
