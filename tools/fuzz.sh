#!/bin/sh
# Runs libFuzzer targets: tools/fuzz.sh SECONDS PROGRAM... New inputs go to build/fuzz/corpus/<target>, what breaks a
# target to build/fuzz/crash-...: fix it, then copy that input into fuzz/corpus/<target>, where `make test` replays it.
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=$1
shift
passed=0 failed=0
log=$(mktemp "${TMPDIR:-/tmp}/mote-fuzz.XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT
for program in "$@"; do
    target=${program##*/fuzz_}
    mkdir -p "build/fuzz/corpus/$target" "fuzz/corpus/$target"
    echo "$target: $seconds seconds"
    if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
        -artifact_prefix=build/fuzz/ "build/fuzz/corpus/$target" "fuzz/corpus/$target" >"$log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        grep -E 'number_of_executed_units|average_exec_per_sec|new_units_added|peak_rss' "$log" | sed 's/^stat::/    /'
    else
        failed=$((failed + 1))
        echo "FAIL $target"
        tail -n 60 "$log"
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
