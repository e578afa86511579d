# Checks what was sent of the release $1, whose checksum is $2, tries it and puts it in its place.
sent=$ROOT/releases/.$1.$TOKEN.tmp
made=$ROOT/releases/.$1.$TOKEN.new
old=$ROOT/releases/.$1.$TOKEN.old
trap 'rm -rf "$sent" "$made" "$old"' EXIT
trap 'exit 1' HUP INT TERM
ours
rm -rf "$made" "$old"
[ -f "$sent" ] || undone 'what was sent is not there'
sum=$(sha256sum <"$sent")
[ "${sum%% *}" = "$2" ] || refuse "its checksum is ${sum%% *} there and $2 here"
mkdir "$made"
mv "$sent" "$made/kvs"
chmod 755 "$made/kvs"
try_out "$made/kvs"
[ -z "$TROUBLE" ] || refuse "$TROUBLE"
printf '%s\n' "$VERSION" >"$made/version"
settle "$made/kvs" "$made/version" "$made"
ours
# One that is there is not whole. A process that runs it keeps its file.
[ ! -e "$ROOT/releases/$1" ] || mv "$ROOT/releases/$1" "$old"
mv "$made" "$ROOT/releases/$1"
settle "$ROOT/releases"
printf 'version %s\n' "$VERSION"
