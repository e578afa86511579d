# Makes the release $1 the current one, and the one before the previous one.
ours
is_whole "$1" || refuse "the release $1 is not there"
now=$(named current)
[ "$now" != "$1" ] || exit 0
[ -z "$now" ] || name_release previous "$now"
name_release current "$1"
settle "$ROOT"
