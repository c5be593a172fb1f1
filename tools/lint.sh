#!/bin/sh
# Checks of the house rules that no compiler makes: tools/lint.sh build/release. Each rule is one test; what breaks it
# is printed as file:line: what. Sizes that only deserve a look are notes and fail nothing.
set -u
cd "$(dirname "$0")/.." || exit 1
B=${1:-build/release}
passed=0 failed=0 skipped=0
found=$(mktemp "${TMPDIR:-/tmp}/mote-lint.XXXXXX") || exit 1
trap 'rm -f "$found" "$found.note"' EXIT
export LC_ALL=C

rule() { # rule NAME: passes when nothing was written to $found
    if [ -s "$found" ]; then
        failed=$((failed + 1))
        echo "FAIL $1"
        sed 's/^/  /' "$found"
    else
        passed=$((passed + 1))
        echo "ok   $1"
    fi
    : >"$found"
}
skip() {
    skipped=$((skipped + 1))
    echo "skip $1: $2"
}

c_files() { find "$@" -name '*.[ch]' -type f 2>/dev/null | sort; }
src=$(c_files src)
all=$(c_files include src app tests fuzz bench examples)
texts=$(find include src app tests fuzz bench examples tools docs cmake .ci -type f \( -name '*.[ch]' -o -name '*.sh' \
    -o -name '*.py' -o -name '*.cmake' -o -name '*.md' -o -name run \) 2>/dev/null | sort)
texts="$texts $(for f in Makefile CMakeLists.txt setup README.md CONTRIBUTING.md; do [ -f "$f" ] && echo "$f"; done)"
scripts=$(for f in setup .ci/run tools/*.sh tests/*.sh; do [ -f "$f" ] && echo "$f"; done)
# Tables written by a script say so in their first lines and have no limits.
generated=$(for f in $all; do head -n 3 "$f" | grep -qiE '(generated|written) by tools/' && echo "$f"; done)
written=$(for f in $all; do echo "$generated" | grep -qxF "$f" || echo "$f"; done)

# ---- includes go one way (docs/architecture.md); a folder may always include itself and mote/mote.h
# shellcheck disable=SC2086 # lists of files without blanks
awk '
BEGIN {
    low = "base quant kernels program ops models text"
    may["base"] = ""; may["text"] = "base"; may["quant"] = "base"
    may["kernels"] = "quant base"; may["program"] = "quant base"
    may["ops"] = "program kernels quant base"
    may["models"] = "ops program kernels quant base text"
    may["formats"] = low
    may["run"] = low
    may["train"] = low " run formats"
    may["measure"] = low " run formats train"
    may["export"] = low " formats"
    may["compress"] = low " run formats train"
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split(FILENAME, at, "/"); here = at[2]
    match($0, /"[^"]*"/); path = substr($0, RSTART + 1, RLENGTH - 2)
    if (path == "mote/mote.h") next
    n = split(path, part, "/")
    if (!(here in may)) print FILENAME ":" FNR ": the folder src/" here " is not in the table of tools/lint.sh"
    else if (n < 2) print FILENAME ":" FNR ": \"" path "\" is not written from src/"
    else if (part[1] != here && index(" " may[here] " ", " " part[1] " ") == 0)
        print FILENAME ":" FNR ": " here " may not include " path
}' $src /dev/null >"$found"
rule 'includes of src go one way'

for f in $(c_files app); do
    grep -nE '^[ 	]*#[ 	]*include[ 	]*"' "$f" | while IFS= read -r line; do
        path=$(echo "$line" | sed 's/.*"\(.*\)".*/\1/')
        case $path in
        mote/mote.h | base/json.h | base/buffer.h) continue ;;
        esac
        [ -f "$(dirname "$f")/$path" ] || [ -f "app/$path" ] || echo "$f:${line%%:*}: the command may not include $path"
    done
done >"$found"
for f in $(c_files examples); do
    grep -nE '^[ 	]*#[ 	]*include[ 	]*"' "$f" | sed "s|^|$f:|; s|\$| (examples use <mote/mote.h> only)|"
done >>"$found"
rule 'the command and the examples use the public header'

# ---- symbols
if [ ! -f "$B/libmote.a" ] || [ ! -f "$B/libmote.so" ] || ! command -v nm >/dev/null 2>&1; then
    skip 'symbols' "no nm, or no library in $B (run make first)"
else
    nm -g --defined-only "$B/libmote.a" | awk 'NF == 3 && $3 !~ /^mote_/ { print "libmote.a defines " $3 }' >"$found"
    rule 'external symbols begin with mote_'

    sed -n 's/^MOTE_API [^(]*[ *]\(mote_[a-z0-9_]*\)(.*/\1/p' include/mote/*.h | sort >"$found.note"
    nm -D --defined-only "$B/libmote.so" | awk '{ print $3 }' | sort | comm -3 "$found.note" - |
        awk -F '\t' '{ if ($1 != "") print "mote.h declares " $1 ", libmote.so lacks it"
                       else print "libmote.so exports " $2 ", mote.h lacks it" }' >"$found"
    rule 'libmote.so exports what mote.h declares'

    # What prints goes through stdout or stderr, or is a function that needs neither name.
    nm -A -u "$B/libmote.a" | awk '
    BEGIN {
        split("malloc calloc realloc reallocarray free aligned_alloc posix_memalign memalign strdup strndup asprintf " \
              "vasprintf getline getdelim", list, " ")
        for (i in list) memory[list[i]] = 1
        split("exit _exit _Exit quick_exit abort raise __assert_fail __assert printf vprintf puts putchar perror " \
              "__printf_chk __vprintf_chk stdout stderr getenv secure_getenv setenv system popen", list, " ")
        for (i in list) never[list[i]] = 1
    }
    {
        symbol = $NF; sub(/@.*/, "", symbol)
        object = $1; sub(/:$/, "", object); sub(/.*:/, "", object)
        if (symbol in never || (symbol in memory && object != "memory.o")) print object ": uses " symbol
    }' | sort -u >"$found"
    rule 'no exit, print, environment or malloc in src'
fi

# ---- sizes
: >"$found.note"
# shellcheck disable=SC2086
awk '
function end_of_file() {
    if (file == "") return
    if (lines > 1000) print file ": " lines " lines, the limit is 1000"
    else if (lines > 500 && file ~ /^(src|app)/) print "note: " file ": " lines " lines" > note
}
FNR == 1 { end_of_file(); file = FILENAME }
{ lines = FNR }
END { end_of_file() }' note="$found.note" $written /dev/null >"$found"
rule 'files have at most 1000 lines'

# A body stands between a `{` after a `)` at depth 0 and its `}`; strings, comments and macros are taken out first.
# shellcheck disable=SC2086
awk '
function clean(s,   out, c, i, n) {
    out = ""; n = length(s)
    for (i = 1; i <= n; i++) {
        c = substr(s, i, 1)
        if (in_comment) { if (substr(s, i, 2) == "*/") { in_comment = 0; i++ } continue }
        if (substr(s, i, 2) == "/*") { in_comment = 1; i++; continue }
        if (substr(s, i, 2) == "//") break
        if (c == "\"" || c == "\047") {
            for (i++; i <= n && substr(s, i, 1) != c; i++) if (substr(s, i, 1) == "\\") i++
            out = out "_"; continue
        }
        out = out c
    }
    return out
}
FNR == 1 { depth = 0; statement = ""; in_comment = 0; in_macro = 0; body = 0 }
in_macro || /^[ \t]*#/ { in_macro = /\\$/; next }
{
    text = clean($0)
    n = length(text)
    for (i = 1; i <= n; i++) {
        c = substr(text, i, 1)
        if (c == "{") {
            if (depth == 0) {
                sub(/[ \t]+$/, "", statement)
                body = statement ~ /\)$/ && statement !~ /=/ ? FNR : 0
                name = statement; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name)
            }
            depth++
        } else if (c == "}") {
            if (--depth == 0) {
                size = FNR - body + 1
                limit = FILENAME ~ /^src\/kernels\// ? 200 : 120
                if (body && size > limit) print FILENAME ":" body ": " name " has " size " lines, the limit is " limit
                else if (body && size > 80) print "note: " FILENAME ":" body ": " name " has " size " lines" > note
                statement = ""
            }
            if (depth < 0) depth = 0
        } else if (depth == 0) {
            statement = c == ";" ? "" : statement c
        }
    }
    if (depth == 0) statement = statement " "
}' note="$found.note2" $written /dev/null >"$found"
[ -f "$found.note2" ] && cat "$found.note2" >>"$found.note" && rm -f "$found.note2"
rule 'functions have at most 120 lines (200 in kernels)'

# shellcheck disable=SC2086
awk '{ gsub(/[\200-\277]/, "") } length($0) > 120 { print FILENAME ":" FNR ": " length($0) " columns" }' \
    $written $scripts Makefile CMakeLists.txt /dev/null >"$found"
rule 'lines have at most 120 columns (tools/wrap_lines.sh wraps them)'

# ---- style
# shellcheck disable=SC2086
awk '
FNR == 1 { if (substr($0, 1, 2) != "/*") print FILENAME ": begins without a comment that says what it is"
           open = substr($0, 1, 2) == "/*" }
open && /\*\// { if (FNR > 8) print FILENAME ": the head comment has " FNR " lines, the limit is 8"; open = 0 }
' $all /dev/null >"$found"
rule 'files begin with a comment of at most 8 lines'

# Commands and examples are named after what they do, and so may share a name with the library's file for that.
for f in $texts; do case $f in app/* | examples/*) ;; *) basename "$f" ;; esac; done | sort | uniq -d |
    sed 's/$/: two files have this name/' >"$found"
rule 'file names are unique'

# shellcheck disable=SC2086
grep -nwE '(TO''DO|FIX''ME|XX''X)' $texts /dev/null >"$found"
rule 'nothing is left to be done in comments'

# shellcheck disable=SC2086
{ grep -nE '[ 	]+$' $texts /dev/null; grep -n '	' $all /dev/null; } |
    sed 's/:\([0-9]*\):.*/:\1: blank at the end, or a tab/' >"$found"
rule 'no tabs in C, no blanks at the end of a line'

if command -v shellcheck >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    shellcheck -x -f gcc -S warning $scripts >"$found"
    rule 'scripts pass shellcheck'
else
    for f in $scripts; do sh -n "$f" 2>>"$found"; done
    rule 'scripts are valid'
fi

cat "$found.note"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
