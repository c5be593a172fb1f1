#!/bin/sh
# Checks the kernels on every processor that can be had here: this one with each of its CPU masks, one without AVX
# (qemu-x86_64 -cpu qemu64), and a 64-bit ARM (qemu-aarch64). tools/check_kernels.sh build/release short|long
# An instruction set counts as skipped only when none of these has it.
set -u
cd "$(dirname "$0")/.." || exit 1
program=$1/tests/check_kernels
arm=build/aarch64/tests/check_kernels
# Each seed is another set of shapes and values; a failing check prints the seed that repeats it.
seeds=20240607 arm_percent=20 plain_percent=4 # without FMA every step of a product is a call into the C library
if [ "${2:-short}" = long ]; then
    seeds="$seeds $(date +%s)1 $(date +%s)2 $(date +%s)3 $(date +%s)4 $(date +%s)5"
    arm_percent=100 plain_percent=20
fi
passed=0 failed=0 skipped=0 missing=''
log=$(mktemp "${TMPDIR:-/tmp}/mote-kernels.XXXXXX") || exit 1
trap 'rm -f "$log" "$log.all"' EXIT

check() { # check NAME PERCENT COMMAND...: once with each seed
    name=$1 percent=$2
    shift 2
    for seed in $seeds; do check_seed "$@" "$seed" "$percent"; done
}
check_seed() {
    echo "$name: $*"
    "$@" >"$log" 2>&1
    code=$?
    grep -v '^skip' "$log"
    cat "$log" >>"$log.all"
    last=$(tail -n 1 "$log" | grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$')
    p=0 f=1
    if [ -n "$last" ]; then
        p=${last%% passed*} f=${last#*passed, }
        f=${f%% failed*}
        [ "$code" -ne 0 ] && [ "$f" -eq 0 ] && f=1
    else
        echo "FAIL $name: ended with exit code $code"
    fi
    passed=$((passed + p)) failed=$((failed + f))
}

check 'this processor' 100 "$program"
case $(uname -m) in
x86_64 | amd64)
    if command -v qemu-x86_64 >/dev/null 2>&1; then
        check 'x86-64 without AVX' "$plain_percent" qemu-x86_64 -cpu qemu64 "$program"
    else
        missing="$missing
skip a processor without AVX: install qemu-user"
    fi
    if ! command -v qemu-aarch64 >/dev/null 2>&1; then
        reason=': install qemu-user'
    elif [ ! -x "$arm" ]; then
        reason=': install gcc-aarch64-linux-gnu and libc6-dev-arm64-cross'
    else
        check 'ARM' "$arm_percent" qemu-aarch64 "$arm"
    fi
    ;;
esac
for set in avx2 avx512 vnni bf16 neon dotprod; do
    grep -qE "^(ok  |FAIL) $set " "$log.all" && continue
    case $set in neon | dotprod) why=${reason:-} ;; *) why=': this processor does not have it' ;; esac
    missing="$missing
skip $set$why"
done
if [ -n "$missing" ]; then
    echo "${missing#?}"
    skipped=$(($(echo "$missing" | wc -l) - 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
