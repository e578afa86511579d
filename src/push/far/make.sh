# Has the release $1 make DATA of the birth $2, which holds the ring's key: it is in no argument of a
# process and in no file, for printf is the shell's own.
ours
# Only systemd runs a node as somebody else.
[ -d /run/systemd/system ] || OWNER=
is_whole "$1" || refuse "the release $1 is not there"
mkdir -p "${DATA%/*}/"
printf '%s' "$2" | "$ROOT/releases/$1/kvs" node make "$DATA"
# A service that is set up has its owner already.
[ -e "$RUN/$NAME.service" ] || hand_over "$DATA"
