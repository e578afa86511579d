# Lets go of the lock.
rm -f "$LOCK/$TOKEN" "$LOCK/$TOKEN".*
