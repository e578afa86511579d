# Ends the service within $1 seconds, removes it and, unless another node uses them, ROOT's releases
# and links; DATA too when $2 is 1.
ours
end_service "$1" 0
[ "$2" != 1 ] || remove_data
forget_service
rm -f "$LOG" "$LOG.1"
for mark in "$RUN"/*.service; do
    [ ! -e "$mark" ] || exit 0
done
rm -f "$ROOT/current" "$ROOT/previous" "$ROOT"/.current.* "$ROOT"/.previous.*
rm -rf "$ROOT/releases"
# The lock is the last to go: until then nobody else begins.
rm -f "$LOCK/$TOKEN" "$LOCK/$TOKEN".*
rmdir "$ROOT/log" "$LOCK" "$RUN" "$ROOT" 2>/dev/null || :
