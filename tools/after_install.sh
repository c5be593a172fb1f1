#!/bin/sh
# Says what is left to do so that programs find libmote.so in LIBDIR: nothing is done to the system's loader unasked.
# tools/after_install.sh LIBDIR
set -u
libdir=$1
[ "$(uname -s)" = Linux ] || exit 0
if command -v ldconfig >/dev/null 2>&1; then ldconfig=ldconfig; else ldconfig=/sbin/ldconfig; fi
# The folders that the loader knows.
if "$ldconfig" -v -N -X 2>/dev/null | sed -n 's/^\(\/[^:]*\):.*/\1/p' | grep -qxF -- "$libdir"; then
    echo "installed. So that programs find libmote.so, as root: ldconfig"
else
    echo "installed. The loader does not look into $libdir: link programs that use libmote.so with"
    echo "    \$(pkg-config --cflags --libs mote) -Wl,-rpath,$libdir"
    echo "or, as root: echo $libdir > /etc/ld.so.conf.d/mote.conf && ldconfig"
fi
