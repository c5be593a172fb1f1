#!/bin/sh
# Runs test programs one after the other and adds up their last lines, "N passed, N failed, N skipped". Each argument
# is a program with its arguments. Shown are one line a program, what was skipped, and the output of what failed; the
# very last line is the sum. A program that dies, hangs or ends without its last line counts as one failed test.
# ONLY=part runs the programs whose command contains that text.
set -u
passed=0 failed=0 skipped=0 broken=''
log=$(mktemp "${TMPDIR:-/tmp}/mote-test.XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
limit=''
command -v timeout >/dev/null 2>&1 && limit='timeout 300'

for command in "$@"; do
    case $command in *"${ONLY:-}"*) ;; *) continue ;; esac
    name=${command#build/*/}
    begin=$(date +%s)
    # shellcheck disable=SC2086 # a command line: split it
    $limit $command >"$log" 2>&1 </dev/null
    code=$?
    seconds=$(($(date +%s) - begin))
    last=$(tail -n 1 "$log" | grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$')
    if [ -n "$last" ]; then
        p=${last%% passed*} f=${last#*passed, } s=${last#*failed, }
        f=${f%% failed*} s=${s%% skipped}
        [ "$code" -ne 0 ] && [ "$f" -eq 0 ] && f=1 last="$last, but exit code $code"
    else
        p=0 f=1 s=0 last="ended with exit code $code and no count"
        [ "$code" -eq 124 ] && last='did not end in 300 seconds'
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%-44s %s (%s s)\n' "$name" "$last" "$seconds"
    if [ "$f" -ne 0 ]; then
        broken="$broken
  $command"
        sed 's/^/    | /' "$log" | if [ "${V:-0}" = 0 ]; then tail -n 200; else cat; fi
    else
        grep -E '^(skip|skipped|note)\b' "$log" | sed 's/^/    /'
    fi
done

[ -n "$broken" ] && printf 'failed:%s\n' "$broken"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
