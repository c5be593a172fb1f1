#!/bin/sh
# Greedy text of one GGUF file by mote and by llama.cpp must be the same.
# usage: tools/check_llamacpp.sh MODEL.gguf "PROMPT" N      MOTE: the command to check (build/release/mote)
# llama.cpp comes ready built in the npm package node-llama-cpp, kept in build/llamacpp. Prompt and continuation must
# fit the model's context: the two programs shift a full context differently. Not the same by design: characters that a
# char tokenizer does not know (llama.cpp drops them), sliding windows (it has them in gemma3 only).
set -eu
if [ $# -ne 3 ]; then
    echo "usage: $0 MODEL.gguf \"PROMPT\" N" >&2
    exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
model=$(realpath "$1")
mote=${MOTE:-$root/build/release/mote}
folder=$root/build/llamacpp
for needed in node npm; do
    if ! command -v $needed >/dev/null; then
        echo "error: $needed is not installed; llama.cpp is asked through it" >&2
        exit 1
    fi
done
mkdir -p "$folder"
cd "$folder"
if [ ! -d node_modules/node-llama-cpp ]; then
    echo '{"private": true}' >package.json
    npm install --ignore-scripts --no-audit --no-fund --loglevel=error node-llama-cpp >&2
    rm -rf node_modules/@node-llama-cpp/*-cuda* node_modules/@node-llama-cpp/*-vulkan* # 600 MB that a CPU does not use
fi
node "$root/tools/llamacpp_greedy.mjs" "$model" "$2" "$3" >theirs.txt
"$mote" generate --temperature 0 --prompt "$2" --tokens "$3" "$model" >ours.txt 2>ours.log || {
    cat ours.log >&2
    exit 1
}
if cmp -s ours.txt theirs.txt; then
    echo "same: $(wc -c <ours.txt) bytes of text by mote and by llama.cpp"
else
    echo "different: see $folder/ours.txt and $folder/theirs.txt" >&2
    cmp ours.txt theirs.txt >&2 || true
    exit 1
fi
