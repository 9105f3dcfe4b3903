#!/bin/sh
# Whether programs that were linked without the C library need nothing of it but what relibc.symbols lists.
#
#     sh recipes/check-symbols.sh PROGRAM…
set -eu
export LC_ALL=C

list=$(dirname "$0")/relibc.symbols
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

grep -v '^#' "$list" | sort -u >"$work/known"
for program in "$@"; do
    nm --undefined-only "$program" >"$work/undefined"
    awk '{ print $NF }' "$work/undefined" | sort -u >"$work/needed"
    comm -23 "$work/needed" "$work/known" >"$work/unknown"
    if [ -s "$work/unknown" ]; then
        sed "s|^|${program##*/} needs a symbol that $list does not list: |" "$work/unknown" >&2
        exit 1
    fi
    echo "${program##*/}: $(wc -l <"$work/needed") symbols of the C library, all in $list"
done
