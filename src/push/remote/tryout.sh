# Has a binary say its version, in VERSION; or says in TROUBLE what is wrong with it.
try_out() {
    limit=
    if timeout 5 true 2>/dev/null; then limit='timeout 30'; fi
    status=0
    said=$($limit "$1" --version </dev/null 2>"$RUN/.trial.$TOKEN") || status=$?
    heard=$(tail -n 1 "$RUN/.trial.$TOKEN")
    rm -f "$RUN/.trial.$TOKEN"
    VERSION=$(printf '%s\n' "$said" | awk 'NR == 1 { print; exit }')
    case $status in
    0) TROUBLE='it says no version' ;;
    124) TROUBLE='it said nothing within 30 s' ;;
    126) TROUBLE="programs cannot be run in '$ROOT' (mounted noexec?), or it is made for other machines" ;;
    127) TROUBLE='the program it is loaded by, or a library, is not on the host: bring a static binary' ;;
    132) TROUBLE='it uses instructions that the host does not have' ;;
    1[3-9]? | 12[89]) TROUBLE="it was ended by signal $((status - 128))" ;;
    *) TROUBLE="it ended with status $status" ;;
    esac
    if [ "$status" = 0 ] && [ -n "$VERSION" ]; then
        TROUBLE=
    elif [ -n "$heard" ]; then
        TROUBLE="$TROUBLE: $heard"
    fi
}
