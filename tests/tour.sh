#!/bin/sh
# A short tour of regtool, for `make run`: redox-hosted runs it in a system that is up. It works on a key of
# its own and leaves everything else alone, so it can be taken again.
set -eu

tour='Machine\Software\Tour'
folder=$(mktemp -d "$REDOX_HOSTED/tour.XXXXXX")
trap 'rm -rf "$folder"' EXIT

title() {
    printf '\n# %s\n' "$*"
}

# Shows a command of regtool as one would type it, and runs it.
show() {
    printf '$ regtool'
    for word in "$@"; do
        case $word in
            *[!A-Za-z0-9_./=-]*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    regtool "$@"
}

title 'Is the registry there?'
show status

title 'A key and some values'
show create "$tour" -p
show set "$tour" Greeting 'Hello, Redox'
show set "$tour" Answer 42 --type dword
show set "$tour" Colours red green blue --type multi_sz
show get "$tour" Greeting
show list "$tour"

title 'Who may do what with it?'
show acl get "$tour"

title 'A file as Windows writes them'
cat >"$folder/tour.reg" <<'REG'
Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\Software\Tour\Display]
"Width"=dword:00000780
"Height"=dword:00000438
"Name"="A \"quoted\" name"

[HKEY_LOCAL_MACHINE\Software\Tour\Display\Colours]
@="sRGB"
"Gamma"=hex:02,33
REG
cat "$folder/tour.reg"
show import "$folder/tour.reg"
show tree "$tour" --values
show info "$tour\\Display"

title 'And out again'
show export "$tour\\Display" --format reg
show export "$tour\\Display" --format json

title 'Changes that belong together are made together, or not at all'
changes="begin
set $tour Answer 43
delete -r $tour\\Display
list $tour
abort
list $tour"
printf '$ regtool shell <<END\n%s\nEND\n' "$changes"
printf '%s\n' "$changes" | regtool shell

title 'What is not there is said, with status 1'
status=0
show get "$tour" Farewell || status=$?
if [ "$status" -ne 1 ]; then
    echo "tour: expected status 1, got $status" >&2
    exit 1
fi

title 'Tidy up'
show delete "$tour" -r

if [ -t 0 ] && [ -t 1 ]; then
    title 'Your turn: try help, or leave with Ctrl-D'
    rm -rf "$folder"
    # What is typed here belongs to this system, not to the user's home.
    exec env REGTOOL_HISTORY="$REDOX_HOSTED/regtool.history" regtool shell
fi
