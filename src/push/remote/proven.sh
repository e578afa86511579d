# The node that was started is as it should be.
ours
rm -f "$RUN/$NAME.proving"
