# Removes the directory of a node that has ended.
ours
! unit_runs || busy "its node still runs (process $UNIT_PID)"
! process_runs || busy "its node still runs (process $PID)"
remove_data
