#!/bin/sh
# The linker of `make redox-check`: links a program for Redox with all but the C library, which is not here. What
# only that has stays undefined, and `nm --undefined-only` tells it afterwards. The program cannot be run.
set -eu

# Each argument goes to the back of the list again, unless it names a library that is Redox's.
count=$#
while [ "$count" -gt 0 ]; do
    argument=$1
    shift
    case $argument in
        -lc | -lgcc*) ;;
        *) set -- "$@" "$argument" ;;
    esac
    count=$((count - 1))
done
exec cc -nostdlib -nostartfiles -Wl,--entry=main -Wl,--unresolved-symbols=ignore-all "$@"
