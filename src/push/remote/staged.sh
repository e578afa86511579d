# What is there of the release $1, whose checksum is $2; takes away what dead pushes have left.
ours
now=$(date +%s)
for left in "$ROOT"/releases/.* "$ROOT"/.current.* "$ROOT"/.previous.*; do
    case ${left##*/} in
    . | ..) continue ;;
    esac
    wrote=$(date -r "$left" +%s 2>/dev/null) || wrote=0
    [ "$((now - wrote))" -lt 3600 ] || rm -rf "$left"
done
printf 'root %s\n' "$ROOT"
printf 'machine %s\n' "$(uname -m)"
df -Pk "$ROOT" | awk 'NR > 1 { kib = $4 } END { printf "free %.0f\n", kib * 1024 }'
if is_whole "$1"; then
    sum=$(sha256sum <"$ROOT/releases/$1/kvs")
    [ "${sum%% *}" != "$2" ] || printf 'whole 1\n'
fi
