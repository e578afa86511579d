# The last $1 lines of the node's log: of more than is kept of an output, the newest.
kind=
[ ! -r "$RUN/$NAME.service" ] || read -r kind rest <"$RUN/$NAME.service" || :

lines() {
    if [ "$kind" = systemd ]; then
        journalctl -u "$UNIT" -n "$1" --no-pager -o short-iso
    elif [ -f "$LOG" ]; then
        tail -n "$1" "$LOG"
    fi
}

# The first line of what is left may be a part of one, and is dropped: that of all is put there for it.
newest() { { echo && cat; } | tail -c 1000000 | sed 1d; }

# The end that counts is that of what reads the log, not of what shortens it.
{ status=$({ { lines "$1" || echo $? >&3; } | newest >&4; } 3>&1); } 4>&1
exit "${status:-0}"
