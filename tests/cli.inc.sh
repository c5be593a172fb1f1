# shellcheck shell=sh disable=SC2034 # what is not used here is used there
# What the tests of the command share: sourced with the command's path as $1. Works in a folder of its own; one line a
# test, and at the end "N passed, N failed, N skipped".
set -u
[ $# -eq 1 ] || { echo "usage: $0 MOTE" >&2; exit 2; }
case $1 in /*) mote=$1 ;; *) mote=$PWD/$1 ;; esac
[ -x "$mote" ] || { echo "$0: $mote is no program" >&2; exit 2; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
data=$(pwd)/tests/data
cd "$work" || exit 1
unset NO_COLOR
passed=0 failed=0 skipped=0

ok() { passed=$((passed + 1)); echo "ok   $1"; }
fail() { failed=$((failed + 1)); echo "FAIL $1${2:+: $2}"; [ ! -s err ] || sed 's/^/       /' err | head -n 4; }
skip() { skipped=$((skipped + 1)); echo "skip $1: $2"; }
check() { if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "got $2, wanted $3"; fi; } # NAME GOT WANTED
# code NAME CODE ARGUMENT...: runs mote; its output is in the files out and err
code() {
    name=$1 wanted=$2
    shift 2
    "$mote" "$@" >out 2>err </dev/null
    got=$?
    if [ $got -ne "$wanted" ]; then fail "$name" "exit code $got, wanted $wanted"
    elif [ "$wanted" -ne 0 ] && [ "$wanted" -ne 8 ] && ! grep -q '^error: ..........' err; then
        fail "$name" "no error: line"
    elif [ "$wanted" -ne 0 ] && [ -s out ]; then fail "$name" "wrote to standard output"
    else ok "$name"; fi
}
says() { if grep -q -- "$2" err; then ok "$1"; else fail "$1" "standard error lacks '$2'"; fi; } # NAME TEXT
sum() { sha256sum "$1" 2>/dev/null | cut -d' ' -f1; }
if command -v python3 >/dev/null 2>&1; then have_python=1; else have_python=0; fi
# json NAME KEY...: the file out is one JSON object that has these keys
json() {
    name=$1
    shift
    if [ $have_python = 0 ]; then skip "$name" "python3 is not there"
    elif python3 -c 'import json, sys
o = json.load(open("out"))
sys.exit(0 if isinstance(o, dict) and all(k in o for k in sys.argv[1:]) else 1)' "$@" 2>/dev/null; then ok "$name"
    else fail "$name" "not JSON with $*: $(head -c 100 out)"; fi
}

# About 30 KB of text that is varied enough to learn from.
awk 'BEGIN {
    split("fox,dog,king,miller,girl,sailor,owl,baker,thief,judge,crow", who, ",")
    split("saw,found,lost,sold,loved,feared,followed,carried", did, ",")
    split("a red house,the old bridge,a silver coin,the long road,a small boat,the dark wood,a warm loaf", what, ",")
    s = 7
    for (i = 0; i < 700; i++) {
        s = (s * 1103515245 + 12345) % 2147483648; a = int(s / 65536)
        printf "The %s %s %s. ", who[1 + a % 11], did[1 + int(a / 11) % 8], what[1 + int(a / 88) % 7]
        if (i % 5 == 4) printf "\n"
    }
}' >text.txt
small="--dim 32 --layers 2 --heads 2 --hidden 64 --context 32 --batch 4 --tokenizer char --quiet"

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed -eq 0 ]
}
