# The last $1 lines of the node's log.
kind=
[ ! -r "$RUN/$NAME.service" ] || read -r kind rest <"$RUN/$NAME.service" || :
if [ "$kind" = systemd ]; then
    journalctl -u "$UNIT" -n "$1" --no-pager -o short-iso
elif [ -f "$LOG" ]; then
    tail -n "$1" "$LOG"
fi
