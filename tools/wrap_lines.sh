#!/bin/sh
# Wraps the lines of C that are longer than 120 columns, code and comments, and touches no other: clang-format with
# .clang-format, a line at a time. tools/wrap_lines.sh [FILE...]; without files, every one that `make lint` looks at.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || {
    # shellcheck disable=SC2046 # names of sources hold no blanks
    set -- $(find include src app tests fuzz bench examples -name '*.[ch]' -type f)
}
for file in "$@"; do
    if head -n 3 "$file" | grep -qiE '(generated|written) by tools/'; then continue; fi
    lines=$(LC_ALL=C awk '{ gsub(/[\200-\277]/, "") } length($0) > 120 { printf " --lines=%d:%d", FNR, FNR }' "$file")
    [ -z "$lines" ] && continue
    echo "$file"
    # shellcheck disable=SC2086 # one option a line
    clang-format --style=file $lines -i "$file"
done
