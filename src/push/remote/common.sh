# Before every script. Its arguments: ROOT DATA NAME UNIT TOKEN OWNER, and then its own as $1, $2, ...
# An end other than 0 is a sentence on stderr: 73 refused, 74 busy, 75 our lock is gone, 76 not done.
set -eu
umask 022

refuse() { printf '%s\n' "$1" >&2; exit 73; }
busy() { printf '%s\n' "$1" >&2; exit 74; }
undone() { printf '%s\n' "$1" >&2; exit 76; }

# A path of the inventory as an absolute one.
place() {
    case $1 in
    '~') printf '%s' "$HOME" ;;
    '~/'*) printf '%s/%s' "${HOME%/}" "${1#??}" ;;
    *) printf '%s' "$1" ;;
    esac
}

ROOT=$(place "$1") DATA=$(place "$2") NAME=$3 UNIT=$4 TOKEN=$5 OWNER=$6
shift 6
ROOT=${ROOT%/} DATA=${DATA%/}
for dir in "$ROOT" "$DATA"; do
    case $dir in
    /*) ;;
    *) refuse "'$dir' is no absolute path below /" ;;
    esac
done
case $NAME in
'' | .* | */*) refuse "'$NAME' cannot be the name of a file" ;;
esac
RUN=$ROOT/run
LOCK=$RUN/lock
LOG=$ROOT/log/$NAME.log
# A lock whose holder has shown no life for so many seconds is nobody's.
STALE=120
BOOT=none
[ ! -r /proc/sys/kernel/random/boot_id ] || read -r BOOT </proc/sys/kernel/random/boot_id

# Seconds since the machine was started, in UP: no clock that anybody sets.
uptime_s() {
    read -r UP rest </proc/uptime
    UP=${UP%%.*}
}

# Shows that the holder of the lock lives. A full disk must not end what it is doing.
beat() {
    uptime_s
    { printf '%s %s\n' "$BOOT" "$UP" >"$LOCK/$TOKEN.beat.$$" &&
        mv -f "$LOCK/$TOKEN.beat.$$" "$LOCK/$TOKEN.beat"; } 2>/dev/null || :
}

# Goes on only while the lock is still ours.
ours() {
    if [ -z "$TOKEN" ] || [ ! -e "$LOCK/$TOKEN" ]; then exit 75; fi
    beat
}

# For how many seconds the holder $1 has shown no life, in AGE. A growing upload is life, too.
age() {
    AGE=86400 boot='' at=''
    [ ! -r "$LOCK/$1.beat" ] || read -r boot at <"$LOCK/$1.beat" || :
    case $at in
    '' | *[!0-9]*) at=0 boot='' ;;
    esac
    uptime_s
    # Where a container has an uptime of its own, a beat may be from before it: from the future.
    if [ -n "$boot" ] && [ "$boot" = "$BOOT" ] && [ "$at" -le "$UP" ]; then AGE=$((UP - at)); fi
    for sent in "$ROOT"/releases/.*."$1".tmp; do
        wrote=$(date -r "$sent" +%s 2>/dev/null) || continue
        silent=$(($(date +%s) - wrote))
        if [ "$silent" -ge 0 ] && [ "$silent" -lt "$AGE" ]; then AGE=$silent; fi
    done
}

# Another that holds the lock and lives, in HOLDER, and its AGE.
holder() {
    for flag in "$LOCK"/*; do
        HOLDER=${flag##*/}
        case $HOLDER in
        *.* | '*' | "$TOKEN") continue ;;
        esac
        [ -e "$flag" ] || continue
        age "$HOLDER"
        [ "$AGE" -ge "$STALE" ] || return 0
    done
    return 1
}

# What the holder says of itself, and for how long it has been silent.
holder_says() {
    says=
    [ ! -r "$LOCK/$HOLDER.owner" ] || read -r says <"$LOCK/$HOLDER.owner" || :
    printf '%s, last heard of %s s ago\n' "${says:-somebody}" "$AGE"
}

# Waits for a moment.
nap() { sleep 0.1 2>/dev/null || sleep 1; }

# Has what was written reach the disk.
settle() { sync "$@" 2>/dev/null || sync; }

# Whether $1 is the name of a release.
is_id() {
    case $1 in
    *[!0-9a-f]*) return 1 ;;
    ????????????????) return 0 ;;
    esac
    return 1
}

# Whether the release $1 is there and whole.
is_whole() { [ -f "$ROOT/releases/$1/kvs" ] && [ -s "$ROOT/releases/$1/version" ]; }

# The release that the link $1 of ROOT names, or nothing.
named() {
    to=$(readlink "$ROOT/$1" 2>/dev/null) || return 0
    to=${to##*/}
    ! is_id "$to" || printf '%s\n' "$to"
}

# Has the link $1 of ROOT name the release $2, at once; or removes it when there is no $2.
name_release() {
    if [ -z "$2" ]; then
        rm -f "$ROOT/$1"
    elif [ "$(named "$1")" != "$2" ]; then
        rm -f "$ROOT/.$1.$TOKEN"
        ln -s "releases/$2" "$ROOT/.$1.$TOKEN"
        # Some mv cannot replace a link that leads to a directory: then it is gone for a moment.
        mv -fT "$ROOT/.$1.$TOKEN" "$ROOT/$1" 2>/dev/null || {
            rm -f "$ROOT/$1"
            mv -f "$ROOT/.$1.$TOKEN" "$ROOT/$1"
        }
    fi
}

# Has the file $1 hold the text $2, at once; says nothing and does nothing when it does. The mode is $3.
# In a directory of another user's any name may become a link at any moment, but none inside one that
# is ours alone: the file is made there, and only its name moves out.
hold_text() {
    if [ -f "$1" ] && printf '%s' "$2" | cmp_text "$1"; then return 0; fi
    new=${1%/*}/.${1##*/}.$TOKEN.$$.new
    mkdir -m 700 "$new"
    (
        cd -P "$new"
        case $(ls -ld .) in
        drwx------*) ;;
        *) refuse "'$new' is not what was made" ;;
        esac
        if [ "$(owner_of .)" != "$(id -un)" ] || ! [ .. -ef "${1%/*}" ]; then
            refuse "'$new' is not what was made"
        fi
        printf '%s' "$2" >text
        chmod "$3" text
        settle text
        # Some mv cannot be told that a link to a directory is a name like any other.
        to=../${1##*/}
        mv -fT text "$to" 2>/dev/null || { [ ! -d "$to" ] && mv -f text "$to"; }
    )
    rmdir "$new"
}

# Whether the file $1 holds what stdin says.
cmp_text() { [ "$(sha256sum)" = "$(sha256sum <"$1")" ]; }

# Gives a thing that root has made for somebody else to them.
hand_over() {
    if [ -n "$OWNER" ] && [ "$(id -u)" = 0 ] && [ "$(owner_of "$1")" != "$OWNER" ]; then
        chown -hR "$OWNER" "$1"
    fi
}

owner_of() { ls -ld "$1" 2>/dev/null | awk '{ print $3; exit }'; }
