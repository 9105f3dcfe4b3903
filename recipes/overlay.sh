#!/bin/sh
# Puts the registry's recipes, image configuration and source into a checkout of redox-os/redox, and takes
# them out again. It builds nothing and touches no file that is not the registry's.
#
#     sh recipes/overlay.sh put|remove REDOX
#
# REDOX/registry/MANIFEST says what is ours: `file SHA-256 PATH` and `directory PATH`, relative to REDOX. It is
# written before what it names and removed last, so both commands can be run again wherever they were stopped.
set -eu
export LC_ALL=C

MANIFEST=registry/MANIFEST
PACKAGES='lcs-scheme loregd regman regtool'

fail() {
    echo "redox-overlay: $*" >&2
    exit 1
}

# What the cookbook needs to build the packages. Uncommitted work is part of it, what cargo built is not, and
# neither are the fuzz targets, which are no part of the workspace, and our recipes: the cookbook would find
# them twice.
list_source() {
    find .cargo Cargo.toml Cargo.lock LICENSE hosted lcs-scheme loregd recipes regtool tests \
        \( -name target -o -path tests/fuzz \) -prune -o \
        -type f ! -path 'recipes/*/recipe.toml' -print
}

# Everything as it is to lie in the tree, in a folder of its own.
stage() {
    mkdir -p "$1/registry/source" "$1/config"
    (cd "$ours" && list_source) >"$work/source"
    (cd "$ours" && tar -cf - -T "$work/source") | (cd "$1/registry/source" && tar -xf -)
    for package in $PACKAGES; do
        mkdir -p "$1/recipes/registry/$package"
        cp "$ours/recipes/$package/recipe.toml" "$1/recipes/registry/$package/"
    done
    cp "$ours/recipes/registry.toml" "$1/config/registry.toml"
}

# `file SHA-256 PATH` of each of the named files that is there; names come from standard input. What is no file,
# and therefore never ours, has the sum 0.
sums() {
    : >"$work/present"
    while IFS= read -r path; do
        if [ -f "$path" ] && [ ! -L "$path" ]; then
            echo "$path" >>"$work/present"
        elif [ -e "$path" ] || [ -L "$path" ]; then
            echo "file 0 $path"
        fi
    done
    [ -s "$work/present" ] || return 0
    tr '\n' '\0' <"$work/present" | xargs -0 sha256sum | sed 's/^\([0-9a-f]*\)  /file \1 /'
}

# The paths of a manifest's lines of this kind.
paths() {
    case $1 in
        file) sed -n 's/^file [0-9a-f]* //p' "$2" ;;
        directory) sed -n 's/^directory //p' "$2" ;;
    esac
}

# Lines of the first file that the second lacks.
without() {
    awk 'FILENAME == ARGV[1] { known[$0] = 1; next } !($0 in known)' "$2" "$1"
}

check_tree() {
    for needed in Makefile mk/config.mk config/base.toml recipes/core; do
        [ -e "$tree/$needed" ] ||
            fail "$tree is no checkout of redox-os/redox: it has no $needed"
    done
}

check_neighbours() {
    base=$(sed -n 's/^include = \["\(.*\)"\]$/\1/p' "$ours/recipes/registry.toml")
    [ -e "config/$base" ] || fail "$tree has no config/$base, which config/registry.toml includes"
    for package in $PACKAGES; do
        other=$(find recipes \( -name source -o -name target \) -prune -o \
            -path "*/$package/recipe.toml" ! -path 'recipes/registry/*' -print)
        [ -z "$other" ] || fail "$tree has another recipe of that name: $other"
    done
    schemes() { sed -n '/^path = "\/etc\/login_schemes.toml"$/,/^"""$/p' "$1" | grep -v '"reg"'; }
    schemes config/base.toml >"$work/theirs"
    schemes "$ours/recipes/registry.toml" >"$work/expected"
    cmp -s "$work/theirs" "$work/expected" || echo "redox-overlay: warning: config/base.toml" \
        "lists other schemes for users than config/registry.toml, which replaces that list" >&2
}

# Refuses to go on if one of the files that are there, and which standard input names, is not as we left it.
refuse_foreign() {
    sums >"$work/found"
    without "$work/found" "$1" >"$work/foreign"
    [ -s "$work/foreign" ] || return 0
    paths file "$work/foreign" | sed "s|^|redox-overlay: not ours, or changed since: $tree/|" >&2
    fail "nothing was done; move these files away, or put them back as they were"
}

put() {
    check_neighbours
    stage "$work/stage"
    (cd "$work/stage" && find . -type f | sed 's|^\./||' | sort | sums) >"$work/new"
    if [ -f "$MANIFEST" ]; then cp "$MANIFEST" "$work/old"; else : >"$work/old"; fi

    # What lies there may be of the last time, or what a put that was stopped has done already.
    cat "$work/old" "$work/new" >"$work/either"
    paths file "$work/either" | sort -u | refuse_foreign "$work/either"

    {
        paths directory "$work/old"
        (cd "$work/stage" && find . -type d ! -name .) | sed 's|^\./||' |
            while IFS= read -r directory; do
                [ -d "$directory" ] || echo "$directory"
            done
    } | sort -u >"$work/made"
    sed 's/^/directory /' "$work/made" >>"$work/new"

    mkdir -p registry
    cat "$work/old" "$work/new" | sort -u >"$work/both"
    write_manifest "$work/both"
    while IFS= read -r directory; do mkdir -p "$directory"; done <"$work/made"
    without "$work/new" "$work/found" >"$work/missing"
    paths file "$work/missing" | while IFS= read -r path; do
        cp "$work/stage/$path" "registry/.part"
        mv -f registry/.part "$path"
    done
    paths file "$work/new" >"$work/keep"
    paths file "$work/old" >"$work/had"
    without "$work/had" "$work/keep" | while IFS= read -r path; do rm -f "$path"; done
    sort -u "$work/new" >"$work/final"
    write_manifest "$work/final"
    echo "redox-overlay: $(wc -l <"$work/keep") files are in $tree," \
        "$(grep -c '^file' "$work/missing" || true) of them written now"
}

# A manifest that is as it should be keeps its time, like every other file.
write_manifest() {
    cmp -s "$1" "$MANIFEST" && return 0
    cp "$1" registry/.part
    mv -f registry/.part "$MANIFEST"
}

remove() {
    if [ ! -f "$MANIFEST" ]; then
        echo "redox-overlay: nothing of the registry is in $tree"
        return 0
    fi
    cp "$MANIFEST" "$work/old"
    paths file "$work/old" | sort -u | refuse_foreign "$work/old"

    paths file "$work/old" | while IFS= read -r path; do rm -f "$path"; done
    # What the cookbook made of our recipes is nobody's without them.
    for package in $PACKAGES; do
        for product in source source.tmp target; do
            rm -rf "recipes/registry/${package:?}/$product"
        done
    done
    rm -f registry/.part
    paths directory "$work/old" | grep -vx registry | sort -r |
        while IFS= read -r directory; do
            # With something in it that is not ours it stays.
            rmdir "$directory" 2>/dev/null || true
        done
    rm "$MANIFEST"
    if grep -qx 'directory registry' "$work/old"; then rmdir registry 2>/dev/null || true; fi
    echo "redox-overlay: the registry is out of $tree"
}

[ $# -eq 2 ] && [ -n "$2" ] || fail 'say where the checkout of redox-os/redox is: REDOX=DIR'
ours=$(cd "$(dirname "$0")/.." && pwd)
tree=$(cd "$2" 2>/dev/null && pwd) || fail "$2 is no directory"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
check_tree
cd "$tree"
case $1 in
    put | remove) "$1" ;;
    *) fail "no such command: $1" ;;
esac
