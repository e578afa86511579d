# How the node's process is, and how to end it; for the scripts that start, stop or look.
UNITS=/etc/systemd/system

has_systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; }

# A property of the unit.
show() { systemctl show -p "$1" "$UNIT" 2>/dev/null | sed -n "s/^$1=//p"; }

# Whether systemd has a process of ours, or is about to have one again; it is UNIT_PID, if any.
unit_runs() {
    UNIT_PID=0
    has_systemd || return 1
    case $(show ActiveState) in
    active | reloading | activating | deactivating) ;;
    *) return 1 ;;
    esac
    UNIT_PID=$(show MainPID)
    UNIT_PID=${UNIT_PID:-0}
}

# When the process $1 began, in ticks since the machine did; nothing when it has ended.
born() {
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    # The command's name may hold anything, brackets too: what counts is behind the last one.
    set -- ${stat##*") "}
    case ${1:-Z} in
    Z | X) return 0 ;;
    esac
    shift 19
    printf '%s\n' "$1"
}

# Whether the process of the pid file runs: PID, of the release RELEASE. A number that was given to
# another process, or a file from before the machine was started again, is nobody.
process_runs() {
    PID=0 RELEASE='' pid='' boot='' since=''
    [ -r "$RUN/$NAME.pid" ] || return 1
    read -r pid boot since RELEASE <"$RUN/$NAME.pid" || :
    case $pid in
    '' | *[!0-9]*) return 1 ;;
    esac
    if [ "$boot" != "$BOOT" ] || [ -z "$since" ]; then return 1; fi
    [ "$(born "$pid")" = "$since" ] || return 1
    is_of_root "$pid" || return 1
    PID=$pid
}

# Whether the process $1 runs something of ROOT.
is_of_root() {
    real=$(cd -P "$ROOT" && pwd -P) || return 1
    case $(readlink "/proc/$1/exe" 2>/dev/null) in
    "$real"/releases/*) return 0 ;;
    esac
    case $(tr '\000' ' ' <"/proc/$1/cmdline" 2>/dev/null) in
    *"$ROOT/current/kvs "* | *"$ROOT/releases/"*) return 0 ;;
    esac
    return 1
}

# Ends it in good order, whoever keeps it, within $1 seconds; after that by force when $2 is 1.
end_service() {
    uptime_s
    DEADLINE=$((UP + $1)) FORCE=$2
    if unit_runs; then
        systemctl stop --no-block "$UNIT"
        while unit_runs; do
            wait_for "${UNIT_PID#0}"
        done
    fi
    if process_runs; then
        kill -TERM "$PID" 2>/dev/null || :
        while process_runs; do
            wait_for "$PID"
        done
    fi
    # A pid file may be lost; whoever has the directory open is what counts. Readers come and go.
    while in_use; do
        beat
        uptime_s
        [ "$UP" -lt "$DEADLINE" ] ||
            busy "process $BY has '$DATA' in use and is not of our pid file: end it there"
        nap
    done
    rm -f "$RUN/$NAME.pid"
}

# Waits a moment for the end of the process $1. Past the deadline it is ended by force, once, if at all.
wait_for() {
    beat
    uptime_s
    if [ "$UP" -ge "$DEADLINE" ]; then
        [ "$FORCE" = 1 ] || busy "its node was told to end and still runs (process ${1:-unknown})"
        FORCE=0 DEADLINE=$((UP + 10))
        if unit_runs; then systemctl kill -s KILL "$UNIT" || :; fi
        if process_runs; then kill -KILL "$PID" 2>/dev/null || :; fi
    fi
    nap
}

# Takes the unit away.
remove_unit() {
    if [ -e "$UNITS/$UNIT" ]; then
        systemctl disable "$UNIT" >/dev/null 2>&1 || :
        rm -f "$UNITS/$UNIT"
    fi
    ! has_systemd || systemctl daemon-reload
}

# Takes away what kept the node running.
forget_service() {
    [ ! -e "$UNITS/$UNIT" ] || remove_unit
    rm -f "$RUN/$NAME.service" "$RUN/$NAME.pid" "$RUN/$NAME.ready" "$RUN/$NAME.proving"
}

# Whether a node was made in DATA and none ever ran there, not even one that somebody else started.
is_unborn() {
    [ -f "$DATA/node.yaml" ] && [ -e "$DATA.unborn" ] && ! [ "$DATA/data.mdb" -nt "$DATA.unborn" ]
}

# A process that has the lock file of the node's directory open, in BY; other users' may not be seen.
in_use() {
    real=$(cd -P "$DATA" && pwd -P) || return 1
    BY=$(ls -l /proc/[0-9]*/fd 2>/dev/null | FILE=" -> $real/kvs.lock" awk '
        /^\/proc\/[0-9]+\/fd:$/ { split($0, path, "/"); pid = path[3] }
        length($0) > length(ENVIRON["FILE"]) &&
            substr($0, length($0) - length(ENVIRON["FILE"]) + 1) == ENVIRON["FILE"] {
            if (!told) print pid
            told = 1
        }')
    [ -n "$BY" ]
}

# Removes the node's directory: all of it is gone at once, then bytes follow.
remove_data() {
    case $ROOT/ in
    "$DATA"/*) refuse "'$DATA' holds ROOT, '$ROOT', and is not removed" ;;
    esac
    case $HOME/ in
    "$DATA"/*) refuse "'$DATA' holds the user's home and is not removed" ;;
    esac
    [ ! -L "$DATA" ] || refuse "'$DATA' is a link: what it leads to is not removed"
    if [ -e "$DATA" ]; then
        if [ ! -f "$DATA/node.yaml" ] && [ -n "$(ls -A "$DATA")" ]; then
            refuse "'$DATA' is no node's directory and is not removed"
        fi
        ! in_use || busy "'$DATA' is in use by process $BY and is not removed"
        mv "$DATA" "$DATA.gone.$TOKEN"
    fi
    rm -f "$DATA.key" "$DATA.unborn"
    for gone in "$DATA".gone.*; do
        ! is_id "${gone##*.}" || rm -rf "$gone"
    done
}
