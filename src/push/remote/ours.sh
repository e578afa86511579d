# Whether the lock is still ours.
ours
