# Has the release $1 say the public key of the node that is, or is to be, in DATA.
ours
# Only systemd runs a node as somebody else.
[ -d /run/systemd/system ] || OWNER=
is_whole "$1" || refuse "the release $1 is not there"
mkdir -p "${DATA%/*}/"
"$ROOT/releases/$1/kvs" node make "$DATA" --identity
[ ! -e "$DATA.key" ] || hand_over "$DATA.key"
