#!/bin/sh
# Ids of tokenizers by mote and by Hugging Face's own library (in Rust, npm's @anush008/tokenizers) must be the same:
# for tests/data/tokenizers/*.json, for what mote writes of them, and for tokenizer.json that mote writes of the GGUF
# vocabularies and models given. The JavaScript library (@huggingface/tokenizers) is asked too; where it differs from
# the one in Rust it is only counted, as it leaves some nodes out.
# usage: tools/check_tokenizers.sh [--goldens] [FILE.gguf | tokenizer.json]...   --goldens writes *.ids anew
# B: the build to check (build/release). The packages are kept in build/tokenizers.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
B=${B:-build/release}
folder=$root/build/tokenizers
data=$root/tests/data/tokenizers
goldens=0
if [ "${1:-}" = --goldens ]; then
    goldens=1
    shift
fi
for needed in node npm; do
    if ! command -v $needed >/dev/null; then
        echo "error: $needed is not installed; the other library is asked through it" >&2
        exit 1
    fi
done
mkdir -p "$folder/work"
if [ ! -d "$folder/node_modules/@anush008/tokenizers" ]; then
    echo '{"private": true}' >"$folder/package.json"
    (cd "$folder" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error @anush008/tokenizers \
        @huggingface/tokenizers >&2)
fi
make --no-print-directory -C "$root" "$B/tests/tokenizer_ids" >&2
ids() { node "$root/tools/tokenizer_ids.mjs" "$@"; } # ids KIND FLAGS... TOKENIZER
texts=$data/texts.list
if [ $goldens = 1 ]; then ids rust "$folder" "$texts" "$data"/*.json; fi

passed=0 failed=0 skipped=0
compare() { # compare NAME TOKENIZER-OF-MOTE TOKENIZER-OF-OTHERS
    name=$1
    if ! "$root/$B/tests/tokenizer_ids" "$2" "$texts" >"$folder/work/ours" ||
        ! ids rust "$folder" "$texts" "$3" --stdout --long >"$folder/work/theirs" 2>"$folder/work/log"; then
        failed=$((failed + 1))
        echo "FAIL $name"
        tail -n 3 "$folder/work/log"
        return
    fi
    cp "$folder/work/ours" "$folder/work/$name.ours"
    cp "$folder/work/theirs" "$folder/work/$name.theirs"
    # Names of tokens in a text are text for mote, so a line that differs and has such a name does not count.
    different=$(paste -d '\t' "$folder/work/ours" "$folder/work/theirs" "$texts" |
        awk -F '\t' '$1 != $2 && $3 !~ /<0x/ { n++; print NR } END { exit n > 0 }') || {
        failed=$((failed + 1))
        echo "FAIL $name: lines $(echo "$different" | tr '\n' ' ')of build/tokenizers/work/$name.{ours,theirs}"
        return
    }
    javascript='no answer'
    if ids js "$folder" "$texts" "$3" --stdout --long >"$folder/work/javascript" 2>/dev/null; then
        javascript="$(diff "$folder/work/theirs" "$folder/work/javascript" | grep -c '^<') lines differ" || :
    fi
    passed=$((passed + 1))
    echo "ok   $name ($(wc -l <"$texts") texts; JavaScript: $javascript)"
}
for file in "$data"/*.json; do
    name=$(basename "$file" .json)
    compare "$name" "$file" "$file"
    "$root/$B/tests/tokenizer_ids" --write "$file" >"$folder/work/$name.json" && compare "$name-written" "$file" \
        "$folder/work/$name.json"
done
for kind in byte char word bpe; do # of mote itself, learned from the texts; tests/test_tokenizer_json.c has the rest
    "$root/$B/tests/tokenizer_ids" --write-$kind "$texts" >"$folder/work/own-$kind.json" &&
        compare "own-$kind" "$folder/work/own-$kind.json" "$folder/work/own-$kind.json"
done
for file in "$@"; do
    name=$(basename "$file")
    "$root/$B/tests/tokenizer_ids" --write "$file" >"$folder/work/$name.json" && compare "$name" "$file" \
        "$folder/work/$name.json"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
