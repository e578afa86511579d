# Says what the host is like, a line each, and changes nothing: kvs-fact KEY=VALUE. $1 is the port of
# the node as /proc/net shows it, $2 the addresses whose listeners are in its way, or * for all.
say() { printf 'kvs-fact %s=%s\n' "$1" "$(printf '%s' "$2" | tr '\n' ' ')"; }
say_lines() { awk -v key="$1" '{ print "kvs-fact " key "=" $0 }'; }

# The place itself, or the nearest one above it that is there, without links.
nearest() {
    at=$1
    until [ -e "$at/." ] || [ "$at" = '' ]; do
        if [ -e "$at" ]; then
            printf '%s\n' "$at"
            return
        fi
        at=${at%/*}
    done
    (cd -P "${at:-/}" && pwd -P)
}

# The options of the mount that a place is on.
options() {
    AT=$1 awk '
        { path = $2
          gsub(/\\040/, " ", path); gsub(/\\011/, "\t", path); gsub(/\\012/, "\n", path)
          gsub(/\\134/, "\\", path)
          below = path == "/" ? "/" : path "/"
          if (index(ENVIRON["AT"] "/", below) == 1 && length(below) >= best) {
              best = length(below); found = $4
          } }
        END { print "," found "," }' /proc/mounts 2>/dev/null
}

free() {
    df -Pk "$1" 2>/dev/null | awk '
        NR > 1 { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { kib = $(i - 1); break }
                 if (kib == "") kib = $4 }
        END { printf "%.0f\n", kib * 1024 }'
}

# Something we need: how much is free there, and whether it can be written to.
place_facts() {
    near=$(nearest "$2")
    say "$1_free" "$(free "$near")"
    mount=$(options "$near")
    case $mount in
    *,noexec,*) say "$1_noexec" 1 ;;
    esac
    case $mount in
    *,ro,*) say read_only "$near" ;;
    *) if [ ! -d "$near" ] || [ ! -w "$near" ]; then say read_only "$near"; fi ;;
    esac
}

lacks() {
    for name in awk cat chmod chown date df id kill ln ls mkdir mv printf readlink rm sed setsid \
        sha256sum sleep sync tail tr uname; do
        command -v "$name" >/dev/null 2>&1 || say lacks "$name"
    done
    case $(mv -fT /kvs/no/such/place /kvs/no/such/other 2>&1) in
    *option* | *sage:* | *nrecognized*) say lacks 'mv -T' ;;
    esac
}

# The inodes of sockets that listen where the node is to.
listeners() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$1" -v at="$2" '
        $4 == "0A" && split($2, own, ":") == 2 && own[2] == port {
            if (at == "*" || index(" " at " ", " " own[1] " ")) print $10
        }'
}

# Whether one of them is not the running service, process $3.
port_taken() {
    open=
    [ -z "$3" ] || open=$(ls -l "/proc/$3/fd" 2>/dev/null) || :
    for inode in $(listeners "$1" "$2"); do
        case $open in
        *"socket:[$inode]"*) ;;
        '') [ -n "$3" ] || return 0 ;;
        *) return 0 ;;
        esac
    done
    return 1
}

service_facts() {
    running=
    if unit_runs; then
        running=$UNIT_PID
        say unit_runs "$UNIT_PID"
    fi
    if process_runs; then
        running=$PID
        say process_runs "$PID"
    fi
    if has_systemd; then
        [ "$(systemctl is-enabled "$UNIT" 2>/dev/null)" != enabled ] || say enabled 1
        if [ "$(id -u)" = 0 ] && [ ! -w "$UNITS" ]; then say units_read_only "$UNITS"; fi
    fi
    [ ! -e "$RUN/$NAME.proving" ] || say proving 1
    [ ! -r "$UNITS/$UNIT" ] || say_lines unit <"$UNITS/$UNIT"
    [ ! -r "$RUN/$NAME.service" ] || say_lines mark <"$RUN/$NAME.service"
    ! port_taken "$1" "$2" "${running#0}" || say port_taken 1
}

release_facts() {
    say current "$(named current)"
    say previous "$(named previous)"
    ls -1t "$ROOT/releases" 2>/dev/null | while read -r id; do
        if is_id "$id" && is_whole "$id"; then
            read -r version <"$ROOT/releases/$id/version" || :
            say release "$id $version"
        fi
    done
}

data_facts() {
    # A link could lead to anything, and we may be root.
    if [ -f "$DATA/node.yaml" ] && [ ! -L "$DATA/node.yaml" ]; then
        say node 1
        say_lines node_yaml <"$DATA/node.yaml"
        # The keys themselves stay here.
        if [ -r "$DATA/ring.key" ] && [ ! -L "$DATA/ring.key" ]; then
            while read -r line || [ -n "$line" ]; do
                [ -z "$line" ] || say ring_key "$(printf '%s' "$line" | sha256sum | awk '{ print $1 }')"
            done <"$DATA/ring.key"
        fi
    elif [ -e "$DATA" ] && { [ ! -d "$DATA" ] || [ -n "$(ls -A "$DATA" 2>&1)" ]; }; then
        say data_foreign 1
    fi
    [ ! -e "$DATA.key" ] || say seeded 1
    ! is_unborn || say unborn 1
    [ ! -e "$DATA" ] || say owner "$(owner_of "$DATA")"
}

say now "$(date +%s)"
say os "$(uname -s)"
say machine "$(uname -m)"
uid=$(id -u)
say user "$(id -un 2>/dev/null || printf '%s' "$uid")"
say uid "$uid"
say root "$ROOT"
say data "$DATA"
[ ! -d /run/systemd/system ] || say systemd 1
lacks
place_facts root "$ROOT"
place_facts data "$DATA"
service_facts "$1" "$2"
release_facts
data_facts
! holder || say locked "$(holder_says)"
say end 1
