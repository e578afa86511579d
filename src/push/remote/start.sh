# Starts the service, as its mark says, and waits up to $1 seconds until it is ready. When it is not,
# prints the last lines of its log.
log_from=1 since=today

# Ends without success, for the reason $1.
give_up() {
    if [ "$KIND" = systemd ]; then
        # What it said last may not be in the journal yet. systemd may have begun it once more by now: all
        # counts since this start, and what came before was another story.
        journalctl --sync >/dev/null 2>&1 || :
        journalctl "_SYSTEMD_UNIT=$UNIT" --since "$since" -n 20 --no-pager -o cat 2>/dev/null || :
    else
        tail -c "+$log_from" "$LOG" 2>/dev/null | tail -n 20
    fi
    undone "$1"
}

# A process $1 that runs already has to be of the current release: $2, or what its file is.
is_current() {
    of=$2
    case $(readlink "/proc/$1/exe" 2>/dev/null) in
    */releases/*/kvs) of=$(readlink "/proc/$1/exe") of=${of%/kvs} of=${of##*/} ;;
    esac
    if [ -n "$of" ] && [ "$of" != "$(named current)" ]; then
        busy "its node still runs the release $of (process $1); stop it first"
    fi
}

# From now on a node may have run, and it is not known yet whether it is any good.
begin() {
    rm -f "$DATA.unborn"
    printf '%s\n' "$(named current)" >"$RUN/$NAME.proving"
}

start_unit() {
    if unit_runs && [ "$(show ActiveState)" = active ]; then
        is_current "$UNIT_PID" ''
        return
    fi
    ! process_runs || busy "its node still runs in the background (process $PID); stop it first"
    [ -e "$UNITS/$UNIT" ] || refuse "there is no unit $UNIT"
    [ "$(show NeedDaemonReload)" != yes ] || systemctl daemon-reload
    systemctl reset-failed "$UNIT" 2>/dev/null || :
    begin
    since=$(date '+%Y-%m-%d %H:%M:%S')
    # It comes back when the node has said that it is ready, or has ended.
    systemctl start "$UNIT" >/dev/null 2>&1 &
    job=$!
    while [ -n "$(born "$job")" ]; do
        beat
        uptime_s
        if [ "$UP" -ge "$deadline" ]; then
            kill "$job" 2>/dev/null || :
            give_up "its node is not ready after $1 s; it still runs"
        fi
        nap
    done
    wait "$job" || give_up 'its node ended before it was ready'
}

start_process() {
    ! unit_runs || busy "its node still runs as $UNIT; stop it first"
    if process_runs; then
        is_current "$PID" "$RELEASE"
    else
        launch
    fi
    while ! said_ready; do
        beat
        uptime_s
        # It may have become ready between two looks.
        is_coming || said_ready || give_up 'its node ended before it was ready'
        [ "$UP" -lt "$deadline" ] || give_up "its node is not ready after $1 s; it still runs"
        nap
    done
    process_runs || give_up 'its node ended as soon as it was ready'
}

said_ready() {
    ready=
    [ ! -r "$RUN/$NAME.ready" ] || read -r ready <"$RUN/$NAME.ready" || :
    case $ready in
    'ready '*) return 0 ;;
    esac
    return 1
}

# Whether it runs, or is on its way there.
is_coming() { process_runs || { [ -n "${child:-}" ] && [ -n "$(born "$child")" ]; }; }

log_bytes() { if [ -f "$LOG" ]; then wc -c <"$LOG"; else echo 0; fi; }

launch() {
    id=$(named current)
    is_whole "$id" || refuse 'there is no current release'
    begin
    umask 077
    rm -f "$RUN/$NAME.pid" "$RUN/$NAME.ready"
    if [ "$(log_bytes)" -gt 67108864 ]; then mv -f "$LOG" "$LOG.1"; fi
    log_from=$(($(log_bytes) + 1))
    ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)" 2>/dev/null || :
    # The process itself writes down who it is before it becomes the node: there is no moment in which
    # it runs and nobody knows.
    setsid sh -c '
        kvs=$1 data=$2 file=$3 boot=$4 id=$5
        read -r stat <"/proc/$$/stat"
        set -- ${stat##*") "}
        shift 19
        printf "%s %s %s %s\n" "$$" "$boot" "$1" "$id" >"$file.new" && mv -f "$file.new" "$file" &&
            exec "$kvs" node run "$data"
    ' kvs "$ROOT/current/kvs" "$DATA" "$RUN/$NAME.pid" "$BOOT" "$id" \
        </dev/null >"$RUN/$NAME.ready" 2>>"$LOG" &
    child=$!
}

ours
uptime_s
deadline=$((UP + $1))
KIND=
[ ! -r "$RUN/$NAME.service" ] || read -r KIND rest <"$RUN/$NAME.service" || :
case $KIND in
systemd) start_unit "$1" ;;
background) start_process "$1" ;;
*) refuse 'no service is set up' ;;
esac
