# Removes the directory of a node that has ended, and what kept it running. When $1 is 1, only one in
# which no node ever ran.
ours
! unit_runs || busy "its node still runs (process $UNIT_PID)"
! process_runs || busy "its node still runs (process $PID)"
[ "$1" != 1 ] || is_unborn || refuse "a node may have run in '$DATA', which is not removed"
remove_data
forget_service
