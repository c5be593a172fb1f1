#!/bin/sh
# Installs build/release into a folder of its own and uses it as a stranger would: both examples and a C++ program are
# built with pkg-config and with CMake, run, and everything is uninstalled again. tools/check_install.sh build/release
set -u
cd "$(dirname "$0")/.." || exit 1
root=$(pwd)
variant=$(basename "${1:-build/release}")
work=$root/build/$variant/installed
log=$root/build/$variant/installed.log
# The caller's make hands its jobs down in these; a make without the right to them would complain.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
CC=${CC:-cc}
export CC
passed=0 failed=0 skipped=0
check() { # check NAME COMMAND...: passes when the command does; its output is shown only when it does not
    label=$1
    shift
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok   $label"
    else
        failed=$((failed + 1))
        echo "FAIL $label"
        sed 's/^/  /' "$log"
    fi
}
skip() {
    skipped=$((skipped + 1))
    echo "skip $1: $2"
}
quiet_make() { make --no-print-directory VARIANT="$variant" CC="$CC" "$@"; }

rm -rf "$work"
mkdir -p "$work"
printf 'to be, or not to be, that is the question: whether it is nobler in the mind to suffer\n%.0s' \
    1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 >"$work/text.txt"

staged_install() {
    quiet_make install DESTDIR="$work/stage" PREFIX=/usr && test -x "$work/stage/usr/bin/mote" &&
        test -f "$work/stage/usr/include/mote/mote.h" && quiet_make uninstall DESTDIR="$work/stage" PREFIX=/usr &&
        test -z "$(find "$work/stage" ! -type d)" && test ! -e "$work/stage/usr/lib" &&
        test ! -e "$work/stage/usr/share"
}
check 'install and uninstall leave nothing behind' staged_install
uninstall_twice() { # nothing to remove is no error worth a word
    quiet_make uninstall DESTDIR="$work/stage" PREFIX=/usr >"$log.twice" 2>&1 && ! grep -i 'error\|ignored' "$log.twice"
}
check 'uninstall where nothing is installed is quiet' uninstall_twice
says_rpath() { quiet_make install PREFIX="$work/usr" | grep -- "-rpath,$work/usr/lib\|^installed\. So that"; }
check 'install PREFIX says how programs find libmote.so' says_rpath
unknown_target() { ./setup no-such-target 2>&1 | grep ' demo '; }
check 'setup lists the targets when there is no such one' unknown_target
check 'the installed command runs' "$work/usr/bin/mote" help

# ---- pkg-config
export PKG_CONFIG_PATH="$work/usr/lib/pkgconfig"
with_pkg_config() { # with_pkg_config SOURCE OUTPUT STATIC
    # shellcheck disable=SC2046 # flags are words
    $CC -std=c11 -Wall -Wextra -Werror -O2 "$1" -o "$2" \
        $(if [ "$3" = static ]; then
            echo "$(pkg-config --cflags mote) $work/usr/lib/libmote.a -lm -lpthread"
        else
            pkg-config --cflags --libs mote
        fi)
}
if command -v pkg-config >/dev/null 2>&1; then
    for example in examples/*.c; do
        name=$(basename "$example" .c)
        check "$name builds against libmote.so" with_pkg_config "$example" "$work/$name" shared
        check "$name builds against libmote.a" with_pkg_config "$example" "$work/$name.static" static
    done
    export LD_LIBRARY_PATH="$work/usr/lib"
    check 'train runs' "$work/train" "$work/text.txt" "$work/model.gguf" 3
    check 'generate runs' "$work/generate" "$work/model.gguf" 'to be' 8
    check 'generate runs, linked statically' "$work/generate.static" "$work/model.gguf" 'to be' 8
    refuses() { ! "$work/generate" "$work/text.txt" 'to be' 8; }
    check 'generate refuses a file that is no model' refuses
    unset LD_LIBRARY_PATH
    with_rpath() { # as the message of make install says
        # shellcheck disable=SC2046 # flags are words
        $CC -std=c11 -O2 examples/generate.c -o "$work/generate.rpath" $(pkg-config --cflags --libs mote) \
            -Wl,-rpath,"$work/usr/lib" && "$work/generate.rpath" "$work/model.gguf" 'to be' 4
    }
    check 'generate finds libmote.so by its rpath' with_rpath
else
    skip 'pkg-config' 'install pkg-config (pkgconf) to check mote.pc and the examples'
fi

# ---- C++
if command -v c++ >/dev/null 2>&1; then
    for header in mote measure; do
        printf '#include <mote/%s.h>\nint main() { mote_roof_json(0, 0, 0); return mote_version()[0] == 0; }\n' \
            $header >"$work/plain.cpp"
        check "$header.h is C++ too" c++ -std=c++17 -Wall -Wextra -Werror -pedantic "$work/plain.cpp" \
            -I"$work/usr/include" "$work/usr/lib/libmote.a" -lm -lpthread -o "$work/plain"
    done
else
    skip 'mote.h is C++ too' 'install a C++ compiler (g++)'
fi

# ---- CMake
if command -v cmake >/dev/null 2>&1; then
    mkdir -p "$work/find" "$work/sub"
    body="add_executable(generate $root/examples/generate.c)
target_link_libraries(generate PRIVATE mote::mote)"
    printf 'cmake_minimum_required(VERSION 3.16)\nproject(find C)\nfind_package(mote 0.1 REQUIRED)\n%s\n' "$body" \
        >"$work/find/CMakeLists.txt"
    printf 'cmake_minimum_required(VERSION 3.16)\nproject(sub C)\nadd_subdirectory(%s mote)\n%s\n' "$root" "$body" \
        >"$work/sub/CMakeLists.txt"
    find_package() {
        cmake -S "$work/find" -B "$work/find/build" -DCMAKE_PREFIX_PATH="$work/usr" &&
            cmake --build "$work/find/build" &&
            "$work/find/build/generate" "$work/model.gguf" 'to be' 4
    }
    # The whole library again, so without optimizing: what is checked is that its files and flags are complete.
    add_subdirectory() {
        cmake -S "$work/sub" -B "$work/sub/build" -DCMAKE_BUILD_TYPE=Debug &&
            cmake --build "$work/sub/build" --parallel 2 && "$work/sub/build/generate" "$work/model.gguf" 'to be' 4
    }
    wrong_version() {
        sed 's/mote 0.1/mote 99.0/' "$work/find/CMakeLists.txt" >"$work/find/CMakeLists.new" &&
            mkdir -p "$work/wrong" && mv "$work/find/CMakeLists.new" "$work/wrong/CMakeLists.txt" &&
            ! cmake -S "$work/wrong" -B "$work/wrong/build" -DCMAKE_PREFIX_PATH="$work/usr"
    }
    check 'CMake: find_package(mote)' find_package
    check 'CMake: a version that is not there is refused' wrong_version
    check 'CMake: add_subdirectory' add_subdirectory
else
    skip 'CMake' 'install cmake to check find_package and add_subdirectory'
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
