# Takes the lock for who we say we are, $1, and keeps it until stdin ends: "held", "busy WHO", "no WHY".
#
# Everybody first puts up a flag, LOCK/TOKEN, and then looks who else has: of two that come at once
# the later sees the earlier, so that two never both win; at worst both step back and try again.
release() { rm -f "$LOCK/$TOKEN" "$LOCK/$TOKEN".*; }

clear_stale() {
    for flag in "$LOCK"/* "$LOCK"/*.beat; do
        token=${flag##*/}
        token=${token%.beat}
        case $token in
        *.* | '*' | "$TOKEN") continue ;;
        esac
        [ -e "$flag" ] || continue
        age "$token"
        [ "$AGE" -lt "$STALE" ] || rm -f "$LOCK/$token" "$LOCK/$token".*
    done
}

why=$(mkdir -p "$ROOT/releases" "$ROOT/log" "$LOCK" 2>&1) || {
    printf 'no %s\n' "$(printf '%s\n' "$why" | tail -n 1)"
    exit 0
}
trap release EXIT
trap 'exit 0' HUP INT TERM PIPE
beat
printf '%s\n' "$1" 2>/dev/null >"$LOCK/$TOKEN.owner" || :
if [ ! -s "$LOCK/$TOKEN.beat" ] || [ ! -s "$LOCK/$TOKEN.owner" ]; then
    printf "no '%s' cannot be written to\n" "$LOCK"
    exit 0
fi
for try in 1 2 3 4 5; do
    clear_stale
    : >"$LOCK/$TOKEN"
    holder || break
    rm -f "$LOCK/$TOKEN"
    if [ "$try" = 5 ]; then
        release
        printf 'busy %s\n' "$(holder_says)"
        exit 0
    fi
    # Two that have seen each other do not come back at the same moment.
    sleep "0.$(($$ % 7 + 1))" 2>/dev/null || sleep 1
done
printf 'held\n'
while read -r line; do
    [ -e "$LOCK/$TOKEN" ] || exit 0
    beat
done
