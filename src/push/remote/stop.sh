# Ends the service in good order within $1 seconds; after that by force when $2 is 1.
ours
end_service "$1" "$2"
