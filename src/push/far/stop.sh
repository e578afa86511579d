# Ends the service in good order within $1 seconds.
ours
end_service "$1"
