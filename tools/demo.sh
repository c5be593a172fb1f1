#!/bin/sh
# `make demo`: the main job on real text in under four minutes. tools/demo.sh build/release/mote; TEXT=FILE or FOLDER
# for a text of your own, MINUTES=1.5 for the training time. Without TEXT it is C: the kernel's user headers, which
# come with every C library on Linux, every 16th file (by name) held back to measure with.
set -eu
cd "$(dirname "$0")/.."
mote=$1
minutes=${MINUTES:-1.5}
work=build/demo
model=$work/model.gguf
export LC_ALL=C

head_line() { printf '\n== %s\n\n' "$1"; }
show_run() { # the command as one would type it, then its output
    printf '$'
    for word in "$@"; do
        case $word in
        *[!A-Za-z0-9_./:=+-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    "$@"
}

# Copies headers into $work/train and $work/held-out: no file above 128 KiB, at most about 3 MB in all.
take_headers() {
    count=0 bytes=0
    for file in "$@"; do
        size=$(wc -c <"$file")
        if [ "$size" -gt 131072 ] || [ "$size" -eq 0 ]; then continue; fi
        count=$((count + 1)) bytes=$((bytes + size))
        if [ "$bytes" -gt 3000000 ]; then break; fi
        if [ $((count % 16)) -eq 0 ]; then cp "$file" "$work/held-out/"; else cp "$file" "$work/train/"; fi
    done
}

# The last tenth of the lines is held back; what has few lines is trained on whole.
take_text() {
    name=text.txt
    case $1 in *.jsonl) name=text.jsonl ;; esac
    find -L "$1" -type f ! -name '.*' | sort | while IFS= read -r file; do cat "$file"; done >"$work/all"
    lines=$(wc -l <"$work/all")
    if [ "$lines" -ge 20 ]; then
        head -n $((lines - lines / 10)) "$work/all" >"$work/train/$name"
        tail -n $((lines / 10)) "$work/all" >"$work/held-out/$name"
        rm "$work/all"
    else
        mv "$work/all" "$work/train/$name"
    fi
}

rm -rf "$work"
mkdir -p "$work/train" "$work/held-out"
if [ -n "${TEXT:-}" ]; then
    if [ ! -r "$TEXT" ]; then
        echo "demo: $TEXT cannot be read" >&2
        exit 3
    fi
    take_text "$TEXT"
    what=$TEXT prompt=${PROMPT:-The }
else
    # shellcheck disable=SC2046 # names of headers hold no blanks
    take_headers $(ls /usr/include/linux/*.h 2>/dev/null || ls /usr/include/*.h)
    what='C headers of this machine' prompt=${PROMPT:-'/* SPDX-License-Identifier: GPL-2.0'}
fi
set -- "$work"/held-out/*
held_out=$([ -e "$1" ] && echo yes || echo no)

head_line "1 of 4: training for $minutes minutes on $what"
show_run "$mote" train "$work/train" --minutes "$minutes" --output "$model"

head_line '2 of 4: text it has never seen'
if [ "$held_out" = yes ]; then show_run "$mote" eval "$model" "$work/held-out"
else echo 'The text has too few lines to hold some back; see the validation loss above.'; fi

head_line '3 of 4: what it writes'
show_run "$mote" generate "$model" --prompt "$prompt" --tokens 200 --temperature 0.7
echo

head_line '4 of 4: what it is made of'
show_run "$mote" show "$model" >"$work/show.txt"
head -n 16 "$work/show.txt"
lines=$(wc -l <"$work/show.txt")
if [ "$lines" -gt 16 ]; then echo "... ($((lines - 16)) more lines)"; fi

printf '\nThe model    %s  (GGUF: other programs read it too)\n' "$model"
printf 'The report   %s  (open it in a browser)\n' "$work/model.run/report.html"
printf 'Your text    %s train MYFILE.txt --output mine.gguf\n' "$mote"
