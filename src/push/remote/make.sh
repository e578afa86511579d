# Has the release $1 make DATA of the birth $2, which holds the ring's key: it is in no argument of a
# process and in no file, for printf is the shell's own.
ours
# Only systemd runs a node as somebody else.
[ -d /run/systemd/system ] || OWNER=
is_whole "$1" || refuse "the release $1 is not there"
mkdir -p "${DATA%/*}/"
made=
if [ ! -f "$DATA/node.yaml" ]; then
    made=1
    printf 'begun\n' >"$DATA.unborn"
fi
printf '%s' "$2" | "$ROOT/releases/$1/kvs" node make "$DATA"
# Newer than anything in the directory until a node runs there.
[ -z "$made" ] || printf 'made\n' >"$DATA.unborn"
# A service that is set up has its owner already.
if [ -n "$made" ] || [ ! -e "$RUN/$NAME.service" ]; then hand_over "$DATA"; fi
