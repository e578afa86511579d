# Writes node.yaml, $1, keeping the one before; then what keeps the node running: $2 is systemd with
# the unit $3, or background; $4 is the mark that says so.
ours
[ ! -L "$DATA/node.yaml" ] || refuse "'$DATA/node.yaml' is a link"
[ -f "$DATA/node.yaml" ] || refuse "'$DATA' is no node's directory"
if ! printf '%s' "$1" | cmp_text "$DATA/node.yaml"; then
    hold_text "$DATA/node.yaml.before" "$(cat "$DATA/node.yaml")
" 644
    hold_text "$DATA/node.yaml" "$1" 644
fi
# Beside a directory that is made it would let a lost one be made again.
if [ -f "$DATA.key" ] && [ -f "$DATA/node.key" ] && cmp_text "$DATA/node.key" <"$DATA.key"; then
    rm -f "$DATA.key"
fi
OWNER=$(owner_of "$DATA")
hand_over "$DATA/node.yaml"
[ ! -e "$DATA/node.yaml.before" ] || hand_over "$DATA/node.yaml.before"
case $2 in
systemd)
    if [ "$(id -u)" != 0 ] || ! has_systemd; then
        refuse 'a unit of systemd takes systemd and root there (become: sudo)'
    fi
    hold_text "$UNITS/$UNIT" "$3" 644
    systemctl daemon-reload
    systemctl enable "$UNIT" 2>&1 | tail -n 1
    [ "$(systemctl is-enabled "$UNIT")" = enabled ] || undone "systemd did not enable $UNIT"
    ;;
*) [ ! -e "$UNITS/$UNIT" ] || remove_unit ;;
esac
hold_text "$RUN/$NAME.service" "$4" 644
