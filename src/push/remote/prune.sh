# Removes all releases but the newest $1; never one that a link names or a process runs.
ours
used=" $(named current) $(named previous) "
for file in "$RUN"/*.pid; do
    if [ -r "$file" ]; then
        read -r pid boot since id <"$file" || id=
        used="$used$id "
    fi
done
count=0
for id in $(ls -1t "$ROOT/releases"); do
    is_id "$id" || continue
    count=$((count + 1))
    case $used in
    *" $id "*) continue ;;
    esac
    [ "$count" -gt "$1" ] || continue
    # In one step it is no release any more.
    mv "$ROOT/releases/$id" "$ROOT/releases/.$id.$TOKEN.old"
    rm -rf "$ROOT/releases/.$id.$TOKEN.old"
done
