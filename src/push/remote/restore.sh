# Puts back what was found before: the releases $1 as current and $2 as previous, the text $4 of
# node.yaml when $3 is 1, and what kept the node running: $5, its unit $6, its mark $7.
ours
name_release current "$1"
name_release previous "$2"
if [ "$3" = 1 ] && [ -f "$DATA/node.yaml" ]; then
    OWNER=$(owner_of "$DATA")
    hold_text "$DATA/node.yaml" "$4" 644
    hand_over "$DATA/node.yaml"
fi
case $5 in
systemd)
    hold_text "$UNITS/$UNIT" "$6" 644
    systemctl daemon-reload
    systemctl enable "$UNIT" >/dev/null 2>&1
    ;;
*) [ ! -e "$UNITS/$UNIT" ] || remove_unit ;;
esac
if [ -n "$7" ]; then
    hold_text "$RUN/$NAME.service" "$7" 644
else
    rm -f "$RUN/$NAME.service" "$RUN/$NAME.ready" "$RUN/$NAME.proving"
fi
