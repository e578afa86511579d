# Has the release $1, which is there, say its version.
ours
try_out "$ROOT/releases/$1/kvs"
[ -z "$TROUBLE" ] || refuse "$TROUBLE"
printf 'version %s\n' "$VERSION"
