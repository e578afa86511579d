# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kvs_global_optspecs
    string join \n ring= timeout= down= key-file= zone= format= escaped 0/null q/quiet color= h/help V/version
end

function __fish_kvs_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kvs_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kvs_using_subcommand
    set -l cmd (__fish_kvs_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kvs -n "__fish_kvs_needs_command" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_needs_command" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_needs_command" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_needs_command" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_needs_command" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_needs_command" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_needs_command" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_needs_command" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_needs_command" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_needs_command" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_needs_command" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "put" -d 'Write a value under a key'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "get" -d 'Read the value of a key'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "delete" -d 'Delete the value of a key'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "edit" -d 'Change a value, or merge siblings'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "scan" -d 'List keys, with the sizes of their values'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "dump" -d 'Write keys and values as JSON Lines'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "load" -d 'Write the lines of a dump'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "clock" -d 'Show what each replica has seen of a key'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "explain" -d 'Explain why a key reads as it does'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "init" -d 'Make a ring directory with one directory per node'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "join" -d 'Add a node to the ring'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "leave" -d 'Take a node out of the ring'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "replace" -d 'Rebuild a lost node under a new identity'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "ring" -d 'Show the ring, plan changes to it, and carry them out'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "status" -d 'Show the state of each node'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "wait" -d 'Wait until the ring is in a given state'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "node" -d 'Run, inspect, drain or stop one node'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "up" -d 'Run every node of a ring directory'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "transfers" -d 'Show what the running nodes are transferring'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "push" -d 'Push nodes to other hosts over SSH, and look after them there'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "scale" -d 'Add a spare host to the ring, or take one back, by load'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "digest" -d 'Print digests of nodes, partitions or leaves'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "diff" -d 'Compare two nodes key by key'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "repair" -d 'Make all copies equal'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "verify" -d 'Read every record and check its checksum'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "hints" -d 'List or deliver writes kept for nodes that were down'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "demo" -d 'Show a ring at work, from a first write to a repaired conflict'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "config" -d 'Show the configuration of nodes, make and replace keys'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c kvs -n "__fish_kvs_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand put" -l literal -d 'The value, taken literally, even if it is - or begins with @' -r
complete -c kvs -n "__fish_kvs_using_subcommand put" -l ttl -d 'Expire the value after this time' -r
complete -c kvs -n "__fish_kvs_using_subcommand put" -l context -d 'Replace exactly what this context includes: the token of kvs get --show-context' -r
complete -c kvs -n "__fish_kvs_using_subcommand put" -s n -d 'Ask only the first N live owners; guarantees still count all owners' -r
complete -c kvs -n "__fish_kvs_using_subcommand put" -s w -d 'Owners that must acknowledge the write; by default a majority' -r
complete -c kvs -n "__fish_kvs_using_subcommand put" -s r -d 'Owners that must answer a read; by default a majority' -r
complete -c kvs -n "__fish_kvs_using_subcommand put" -l level -d 'The quorum by name, instead of -w and -r; local-quorum is that of --zone' -r -f -a "one\t'One owner'
quorum\t'A majority of the owners'
all\t'Every owner'
local-quorum\t'A majority of the owners in the zone'
each-quorum\t'A majority of the owners in each zone'"
complete -c kvs -n "__fish_kvs_using_subcommand put" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand put" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand put" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand put" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand put" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand put" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand put" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand put" -l exact -d 'Refuse (exit 3) when the key holds anything that --context does not include: for values computed from what was read, such as counters'
complete -c kvs -n "__fish_kvs_using_subcommand put" -l show-context -d 'Print the context of the new value on stdout, for the next put'
complete -c kvs -n "__fish_kvs_using_subcommand put" -l if-absent -d 'Write only when the key has no value, otherwise exit 3 (strict)'
complete -c kvs -n "__fish_kvs_using_subcommand put" -l blind -d 'Add a value beside those there are'
complete -c kvs -n "__fish_kvs_using_subcommand put" -l overwrite -d 'Replace the current values, even if there are siblings'
complete -c kvs -n "__fish_kvs_using_subcommand put" -l strict -d 'Count owners only, no fallbacks; a read returns only what enough owners hold'
complete -c kvs -n "__fish_kvs_using_subcommand put" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand put" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand put" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand put" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand put" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand get" -l sibling -d 'Print only this sibling, counted from 1' -r
complete -c kvs -n "__fish_kvs_using_subcommand get" -s n -d 'Ask only the first N live owners' -r
complete -c kvs -n "__fish_kvs_using_subcommand get" -s r -d 'Owners that must answer; by default a majority' -r
complete -c kvs -n "__fish_kvs_using_subcommand get" -l level -d 'The quorum by name, instead of -r; local-quorum is that of --zone' -r -f -a "one\t'One owner'
quorum\t'A majority of the owners'
all\t'Every owner'
local-quorum\t'A majority of the owners in the zone'
each-quorum\t'A majority of the owners in each zone'"
complete -c kvs -n "__fish_kvs_using_subcommand get" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand get" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand get" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand get" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand get" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand get" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand get" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand get" -l all -d 'Print every value, one per line (with -0 each ends with NUL)'
complete -c kvs -n "__fish_kvs_using_subcommand get" -l show-context -d 'Print the context instead of the value, for kvs put --context; works for deleted keys too'
complete -c kvs -n "__fish_kvs_using_subcommand get" -l strict -d 'Return only what enough owners hold that no later strict read can miss it; otherwise exit 4'
complete -c kvs -n "__fish_kvs_using_subcommand get" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand get" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand get" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand get" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l context -d 'Delete exactly what this context includes: the token of kvs get --show-context' -r
complete -c kvs -n "__fish_kvs_using_subcommand delete" -s n -d 'Ask only the first N live owners; guarantees still count all owners' -r
complete -c kvs -n "__fish_kvs_using_subcommand delete" -s w -d 'Owners that must acknowledge the write; by default a majority' -r
complete -c kvs -n "__fish_kvs_using_subcommand delete" -s r -d 'Owners that must answer a read; by default a majority' -r
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l level -d 'The quorum by name, instead of -w and -r; local-quorum is that of --zone' -r -f -a "one\t'One owner'
quorum\t'A majority of the owners'
all\t'Every owner'
local-quorum\t'A majority of the owners in the zone'
each-quorum\t'A majority of the owners in each zone'"
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l overwrite -d 'Delete the current values, even if there are siblings'
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l show-context -d 'Print the context of the delete on stdout, for the next put'
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l strict -d 'Count owners only, no fallbacks; a read returns only what enough owners hold'
complete -c kvs -n "__fish_kvs_using_subcommand delete" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand delete" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand delete" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand delete" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand edit" -l retry -d 'How often to run COMMAND again when another writer was faster' -r
complete -c kvs -n "__fish_kvs_using_subcommand edit" -s n -d 'Ask only the first N live owners; guarantees still count all owners' -r
complete -c kvs -n "__fish_kvs_using_subcommand edit" -s w -d 'Owners that must acknowledge the write; by default a majority' -r
complete -c kvs -n "__fish_kvs_using_subcommand edit" -s r -d 'Owners that must answer a read; by default a majority' -r
complete -c kvs -n "__fish_kvs_using_subcommand edit" -l level -d 'The quorum by name, instead of -w and -r; local-quorum is that of --zone' -r -f -a "one\t'One owner'
quorum\t'A majority of the owners'
all\t'Every owner'
local-quorum\t'A majority of the owners in the zone'
each-quorum\t'A majority of the owners in each zone'"
complete -c kvs -n "__fish_kvs_using_subcommand edit" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand edit" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand edit" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand edit" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand edit" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand edit" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand edit" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand edit" -l strict -d 'Count owners only, no fallbacks; a read returns only what enough owners hold'
complete -c kvs -n "__fish_kvs_using_subcommand edit" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand edit" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand edit" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand edit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand edit" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l limit -d 'Stop after this number of keys' -r
complete -c kvs -n "__fish_kvs_using_subcommand scan" -s r -d 'Owners of each partition that must answer; by default a majority' -r
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l keys -d 'Print only the keys'
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l values -d 'Print the first bytes of each value too, escaped; kvs dump writes them whole'
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l deleted -d 'List deleted and expired keys too, without values'
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l sort -d 'Sort by key; collects all keys first'
complete -c kvs -n "__fish_kvs_using_subcommand scan" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand scan" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand scan" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand scan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand scan" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand dump" -l prefix -d 'Only keys that begin with this prefix' -r
complete -c kvs -n "__fish_kvs_using_subcommand dump" -s o -l output -d 'Write to this file instead of stdout; - is stdout' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand dump" -s r -d 'Owners of each partition that must answer; by default a majority' -r
complete -c kvs -n "__fish_kvs_using_subcommand dump" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand dump" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand dump" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand dump" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand dump" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand dump" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand dump" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand dump" -l clock -d 'Add each key\'s clock, for reading; kvs load ignores it'
complete -c kvs -n "__fish_kvs_using_subcommand dump" -l expires -d 'Add expiry times, in ms since 1970'
complete -c kvs -n "__fish_kvs_using_subcommand dump" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand dump" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand dump" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand dump" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand load" -s n -d 'Ask only the first N live owners; guarantees still count all owners' -r
complete -c kvs -n "__fish_kvs_using_subcommand load" -s w -d 'Owners that must acknowledge the write; by default a majority' -r
complete -c kvs -n "__fish_kvs_using_subcommand load" -s r -d 'Owners that must answer a read; by default a majority' -r
complete -c kvs -n "__fish_kvs_using_subcommand load" -l level -d 'The quorum by name, instead of -w and -r; local-quorum is that of --zone' -r -f -a "one\t'One owner'
quorum\t'A majority of the owners'
all\t'Every owner'
local-quorum\t'A majority of the owners in the zone'
each-quorum\t'A majority of the owners in each zone'"
complete -c kvs -n "__fish_kvs_using_subcommand load" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand load" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand load" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand load" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand load" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand load" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand load" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand load" -l if-absent -d 'Write only keys that have no value (strict)'
complete -c kvs -n "__fish_kvs_using_subcommand load" -l blind -d 'Add each value as a sibling of those already there: fast, for an empty ring; loading twice makes siblings'
complete -c kvs -n "__fish_kvs_using_subcommand load" -l overwrite -d 'Replace the current values, even if there are siblings'
complete -c kvs -n "__fish_kvs_using_subcommand load" -l strict -d 'Count owners only, no fallbacks; a read returns only what enough owners hold'
complete -c kvs -n "__fish_kvs_using_subcommand load" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand load" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand load" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand load" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand load" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -a "compare" -d 'Compare two clocks'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and not __fish_seen_subcommand_from compare help" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -l key -d 'The key the contexts belong to' -r
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from compare" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from help" -f -a "compare" -d 'Compare two clocks'
complete -c kvs -n "__fish_kvs_using_subcommand clock; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand explain" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand explain" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand explain" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand explain" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand explain" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand explain" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand explain" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand explain" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand explain" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand explain" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand explain" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand init" -l nodes -d 'Number of nodes' -r
complete -c kvs -n "__fish_kvs_using_subcommand init" -l replicas -d 'Copies of each record (N); 3, or the number of nodes if that is smaller' -r
complete -c kvs -n "__fish_kvs_using_subcommand init" -l partitions -d 'Partitions: a power of two from 8 to 65536' -r
complete -c kvs -n "__fish_kvs_using_subcommand init" -l zones -d 'Zones, assigned to the nodes in turn' -r
complete -c kvs -n "__fish_kvs_using_subcommand init" -l listen -d 'Where the nodes listen: HOST:PORT of the first, one port higher for each next; by default free ports of 127.0.0.1' -r
complete -c kvs -n "__fish_kvs_using_subcommand init" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand init" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand init" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand init" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand init" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand init" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand init" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand init" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand init" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand init" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand init" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand join" -l name -d 'The new member\'s name (letters, digits, . _ and -); by default the directory\'s name' -r
complete -c kvs -n "__fish_kvs_using_subcommand join" -l weight -d 'Its share of the data relative to other members' -r
complete -c kvs -n "__fish_kvs_using_subcommand join" -l listen -d 'Where it listens; by default a free port of 127.0.0.1' -r
complete -c kvs -n "__fish_kvs_using_subcommand join" -l plan -d 'Make the directory, and write the plan to a file instead of carrying it out' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand join" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand join" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand join" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand join" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand join" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand join" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand join" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand join" -l yes -d 'Do not ask for confirmation'
complete -c kvs -n "__fish_kvs_using_subcommand join" -l dry-run -d 'Print the plan and change nothing; exits 1 when there is something to change'
complete -c kvs -n "__fish_kvs_using_subcommand join" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand join" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand join" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand join" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand join" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand leave" -l plan -d 'Write the plan to a file instead of carrying it out' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand leave" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand leave" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand leave" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand leave" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand leave" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand leave" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand leave" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand leave" -l yes -d 'Do not ask for confirmation'
complete -c kvs -n "__fish_kvs_using_subcommand leave" -l dry-run -d 'Print the plan and change nothing; exits 1 when there is something to change'
complete -c kvs -n "__fish_kvs_using_subcommand leave" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand leave" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand leave" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand leave" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand leave" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l dir -d 'The new directory; by default that of the lost node' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l listen -d 'Where the new node listens; by default where the lost one did, or on a free port' -r
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l accept-loss -d 'Continue even if writes may be lost that only the lost node and missing ones hold'
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l yes -d 'Do not ask for confirmation'
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l dry-run -d 'Print the plan and change nothing; exits 1 when there is something to change'
complete -c kvs -n "__fish_kvs_using_subcommand replace" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand replace" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand replace" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand replace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand replace" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -f -a "show" -d 'Show the members and the share of each'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -f -a "plan" -d 'Print what changes would do; exits 1 when they would change something, otherwise 0'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -f -a "apply" -d 'Carry out a plan, or continue the change under way'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -f -a "where" -d 'Show the owners and fallbacks of a key'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -f -a "recover" -d 'Make a ring of the remaining nodes when a majority is lost for good'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and not __fish_seen_subcommand_from show plan apply where recover help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l join -d 'Add a member' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l leave -d 'Let a member leave and hand over what it holds' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l weight -d 'Change a member\'s weight' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l remove -d 'Remove a member that is gone for good' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -s o -l output -d 'Write the plan to a file (- is stdout), for `kvs ring apply FILE`' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from plan" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -l accept-loss -d 'Continue even if removing members may lose writes that only they hold'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -l yes -d 'Do not ask for confirmation'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -l dry-run -d 'Print the plan and change nothing; exits 1 when there is something to change'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from apply" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from where" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -l replicas -d 'Copies of each record from now on; by default as before' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -l accept-minority -d 'Confirm that the members that do not open are given up'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -l yes -d 'Do not ask for confirmation'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from recover" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the members and the share of each'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from help" -f -a "plan" -d 'Print what changes would do; exits 1 when they would change something, otherwise 0'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from help" -f -a "apply" -d 'Carry out a plan, or continue the change under way'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from help" -f -a "where" -d 'Show the owners and fallbacks of a key'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from help" -f -a "recover" -d 'Make a ring of the remaining nodes when a majority is lost for good'
complete -c kvs -n "__fish_kvs_using_subcommand ring; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand status" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand status" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand status" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand status" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand status" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand status" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand status" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand status" -l check -d 'Exit 1 when anything needs attention: a node down, filling, full or draining, hints, damaged records'
complete -c kvs -n "__fish_kvs_using_subcommand status" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand status" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand status" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand status" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l node-up -d 'This member answers, and every node that answers considers it up' -r
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l node-down -d 'This member does not answer, and no node that answers considers it up' -r
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l in-sync -d 'Every member is up and has synced with all others since the command began'
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l hints-drained -d 'No node keeps a hint'
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l settled -d 'Every member is up and no ring change is under way'
complete -c kvs -n "__fish_kvs_using_subcommand wait" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand wait" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand wait" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand wait" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand wait" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -f -a "run" -d 'Run one node in the foreground until it is stopped'
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -f -a "info" -d 'Show what a running node reports about itself'
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -f -a "drain" -d 'Stop a running node from serving clients, or let it serve again'
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -f -a "stop" -d 'Stop a running node, and wait until it has ended'
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -f -a "make" -d 'Make a node\'s directory from a description on stdin'
complete -c kvs -n "__fish_kvs_using_subcommand node; and not __fish_seen_subcommand_from run info drain stop make help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l listen -d 'Where to listen, instead of the address in node.yaml; port 0 is any free port' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l metrics -d 'Where to serve metrics for Prometheus, at /metrics, or off; by default as node.yaml says, else a free port of 127.0.0.1' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l sync-every -d 'How often to compare digests with every other node and sync what differs, or off' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l log -d 'What to log: off, error, warn, info, debug or trace, also per module: info,kvs::serve=debug' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l no-hints -d 'Do not deliver hints; they wait for `kvs hints deliver`'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l lock-on-stdin -d 'The lock is held already and its file is stdin'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from run" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from info" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -l undo -d 'Serve clients again'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from drain" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from stop" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -l identity -d 'Print the node\'s public key, and make the key if there is none'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from make" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from help" -f -a "run" -d 'Run one node in the foreground until it is stopped'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from help" -f -a "info" -d 'Show what a running node reports about itself'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from help" -f -a "drain" -d 'Stop a running node from serving clients, or let it serve again'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from help" -f -a "stop" -d 'Stop a running node, and wait until it has ended'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from help" -f -a "make" -d 'Make a node\'s directory from a description on stdin'
complete -c kvs -n "__fish_kvs_using_subcommand node; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand up" -l metrics -d 'Where to serve metrics for Prometheus, at /metrics, or off; by default as node.yaml says, else a free port of 127.0.0.1' -r
complete -c kvs -n "__fish_kvs_using_subcommand up" -l sync-every -d 'How often to compare digests with every other node and sync what differs, or off' -r
complete -c kvs -n "__fish_kvs_using_subcommand up" -l log -d 'What to log: off, error, warn, info, debug or trace, also per module: info,kvs::serve=debug' -r
complete -c kvs -n "__fish_kvs_using_subcommand up" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand up" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand up" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand up" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand up" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand up" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand up" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand up" -l no-hints -d 'Do not deliver hints; they wait for `kvs hints deliver`'
complete -c kvs -n "__fish_kvs_using_subcommand up" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand up" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand up" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand up" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand transfers" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "init" -d 'Print an inventory for some hosts'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "check" -d 'Look whether hosts are fit to run nodes'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "plan" -d 'Print what `push apply` would do'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "apply" -d 'Make the hosts what the inventory says'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "status" -d 'Show how hosts and their nodes are'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "start" -d 'Start nodes that do not run'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "stop" -d 'Stop nodes, all at once'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "restart" -d 'Restart nodes, in turns that keep every quorum'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "rollback" -d 'Go back to the release before, in turns that keep every quorum'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "logs" -d 'Print the end of a node\'s log'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "destroy" -d 'Stop and remove the nodes of a fleet'
complete -c kvs -n "__fish_kvs_using_subcommand push; and not __fish_seen_subcommand_from init check plan apply status start stop restart rollback logs destroy help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -l ring-name -d 'The ring\'s name: a-z, 0-9 and -' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from init" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -l only -d 'Only these hosts' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -l only -d 'Only these hosts' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from plan" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l only -d 'Only these hosts' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l replace -d 'Give the places of these lost members to new nodes on their hosts' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l yes -d 'Go ahead without asking'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l dry-run -d 'Print the plan and change nothing; exits 1 when there is something to do'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l accept-downtime -d 'Restart nodes even where reads and writes will fail meanwhile'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from apply" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -l only -d 'Only these hosts' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -l check -d 'Exit 1 when anything needs attention'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -l only -d 'Only these hosts' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from start" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -l only -d 'Only these hosts' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -l yes -d 'Go ahead without asking'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from stop" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -l only -d 'Only these hosts' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -l accept-downtime -d 'Restart nodes even where reads and writes will fail meanwhile'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from restart" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -l only -d 'Only these hosts' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -l accept-downtime -d 'Restart nodes even where reads and writes will fail meanwhile'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from rollback" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -l lines -d 'How many lines' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from logs" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -l confirm -d 'The ring\'s name, in place of typing it' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -l data -d 'Remove the nodes\' directories too, with all they hold'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from destroy" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "init" -d 'Print an inventory for some hosts'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "check" -d 'Look whether hosts are fit to run nodes'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "plan" -d 'Print what `push apply` would do'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "apply" -d 'Make the hosts what the inventory says'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show how hosts and their nodes are'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "start" -d 'Start nodes that do not run'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "stop" -d 'Stop nodes, all at once'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "restart" -d 'Restart nodes, in turns that keep every quorum'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "rollback" -d 'Go back to the release before, in turns that keep every quorum'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "logs" -d 'Print the end of a node\'s log'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "destroy" -d 'Stop and remove the nodes of a fleet'
complete -c kvs -n "__fish_kvs_using_subcommand push; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand scale" -l window -d 'How long to measure, instead of the time in the inventory' -r
complete -c kvs -n "__fish_kvs_using_subcommand scale" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand scale" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand scale" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand scale" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand scale" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand scale" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand scale" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand scale" -l yes -d 'Do not ask for confirmation'
complete -c kvs -n "__fish_kvs_using_subcommand scale" -l dry-run -d 'Print the decision and change nothing'
complete -c kvs -n "__fish_kvs_using_subcommand scale" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand scale" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand scale" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand scale" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand scale" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand digest" -l partition -d 'Only this partition' -r
complete -c kvs -n "__fish_kvs_using_subcommand digest" -l depth -d '0: one row per node, 1: per partition, 2: per leaf that is not empty' -r
complete -c kvs -n "__fish_kvs_using_subcommand digest" -l check -d 'Compare with rows saved with --format plain: exits 0 when equal, 1 when not' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand digest" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand digest" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand digest" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand digest" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand digest" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand digest" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand digest" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand digest" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand digest" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand digest" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand digest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand digest" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand diff" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand diff" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand diff" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand diff" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand diff" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand diff" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand diff" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand diff" -l keys -d 'Print only the keys'
complete -c kvs -n "__fish_kvs_using_subcommand diff" -l stat -d 'Print the number of keys per verdict'
complete -c kvs -n "__fish_kvs_using_subcommand diff" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand diff" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand diff" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand diff" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l partition -d 'Only this partition' -r
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l accept-missing -d 'Continue without this member for good: what only it holds may be lost' -r
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l accept-loss -d 'Give up the damaged copies and hints of this key when no good one is left' -r
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l verify -d 'Read every record first, to find damage'
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l accept-losses -d 'Continue without everything lost or damaged that no other owner could heal; with --partition, only in that partition'
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l dry-run -d 'Print how many keys differ between the nodes and change nothing; exits 1 when any differ, 7 when a member is down'
complete -c kvs -n "__fish_kvs_using_subcommand repair" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand repair" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand repair" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand repair" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand repair" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand verify" -l partition -d 'Only this partition' -r
complete -c kvs -n "__fish_kvs_using_subcommand verify" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand verify" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand verify" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand verify" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand verify" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand verify" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand verify" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand verify" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand verify" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand verify" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand verify" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -f -a "list" -d 'Print holder, target, key, partition, kind and bytes of each hint; exits 8 when some are damaged'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -f -a "deliver" -d 'Deliver all hints that can be; exits 0 when none is left, 7 when some may be, 8 when some are damaged'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and not __fish_seen_subcommand_from list deliver help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from deliver" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from help" -f -a "list" -d 'Print holder, target, key, partition, kind and bytes of each hint; exits 8 when some are damaged'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from help" -f -a "deliver" -d 'Deliver all hints that can be; exits 0 when none is left, 7 when some may be, 8 when some are damaged'
complete -c kvs -n "__fish_kvs_using_subcommand hints; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand demo" -l keep -d 'Work in this new directory and keep it' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand demo" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand demo" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand demo" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand demo" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand demo" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand demo" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand demo" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand demo" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand demo" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand demo" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand demo" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -f -a "show" -d 'Print name, address, quota, fingerprints of the ring\'s keys, and path of each node'
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -f -a "keygen" -d 'Make a ring key, or replace one with no node down'
complete -c kvs -n "__fish_kvs_using_subcommand config; and not __fish_seen_subcommand_from show keygen help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -l add -d 'Step 1: add a new key as the second'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -l rotate -d 'Step 2: swap the two keys'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -l drop -d 'Step 3: remove the second key; before step 2 this undoes step 1'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from keygen" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print name, address, quota, fingerprints of the ring\'s keys, and path of each node'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "keygen" -d 'Make a ring key, or replace one with no node down'
complete -c kvs -n "__fish_kvs_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand completions" -l man -d 'Write the man pages into this directory instead' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand completions" -l ring -d 'The ring: its directory, or a comma-separated list of node directories or addresses' -r
complete -c kvs -n "__fish_kvs_using_subcommand completions" -l timeout -d 'How long to wait for a lock or an answer' -r
complete -c kvs -n "__fish_kvs_using_subcommand completions" -l down -d 'Treat these nodes as down, to rehearse an outage (comma-separated)' -r
complete -c kvs -n "__fish_kvs_using_subcommand completions" -l key-file -d 'The ring\'s key file, for nodes given by address' -r -F
complete -c kvs -n "__fish_kvs_using_subcommand completions" -l zone -d 'The zone that requests come from, for --level local-quorum' -r
complete -c kvs -n "__fish_kvs_using_subcommand completions" -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, plain in a pipe'
table\t'A table with a header'
plain\t'Tab-separated, no header; columns are only ever appended'
json\t'One JSON object with a "schema"'"
complete -c kvs -n "__fish_kvs_using_subcommand completions" -l color -d 'When to colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kvs -n "__fish_kvs_using_subcommand completions" -l escaped -d 'KEY is escaped the way kvs prints keys: \\n, \\xNN, \\\\ for a backslash'
complete -c kvs -n "__fish_kvs_using_subcommand completions" -s 0 -l null -d 'End output lines with NUL instead of a newline'
complete -c kvs -n "__fish_kvs_using_subcommand completions" -s q -l quiet -d 'Print less on stderr'
complete -c kvs -n "__fish_kvs_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvs -n "__fish_kvs_using_subcommand completions" -s V -l version -d 'Print version'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "put" -d 'Write a value under a key'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "get" -d 'Read the value of a key'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "delete" -d 'Delete the value of a key'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "edit" -d 'Change a value, or merge siblings'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "scan" -d 'List keys, with the sizes of their values'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "dump" -d 'Write keys and values as JSON Lines'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "load" -d 'Write the lines of a dump'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "clock" -d 'Show what each replica has seen of a key'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "explain" -d 'Explain why a key reads as it does'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "init" -d 'Make a ring directory with one directory per node'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "join" -d 'Add a node to the ring'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "leave" -d 'Take a node out of the ring'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "replace" -d 'Rebuild a lost node under a new identity'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "ring" -d 'Show the ring, plan changes to it, and carry them out'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "status" -d 'Show the state of each node'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "wait" -d 'Wait until the ring is in a given state'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "node" -d 'Run, inspect, drain or stop one node'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "up" -d 'Run every node of a ring directory'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "transfers" -d 'Show what the running nodes are transferring'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "push" -d 'Push nodes to other hosts over SSH, and look after them there'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "scale" -d 'Add a spare host to the ring, or take one back, by load'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "digest" -d 'Print digests of nodes, partitions or leaves'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "diff" -d 'Compare two nodes key by key'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "repair" -d 'Make all copies equal'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "verify" -d 'Read every record and check its checksum'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "hints" -d 'List or deliver writes kept for nodes that were down'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "demo" -d 'Show a ring at work, from a first write to a repaired conflict'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "config" -d 'Show the configuration of nodes, make and replace keys'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "completions" -d 'Print completions for a shell'
complete -c kvs -n "__fish_kvs_using_subcommand help; and not __fish_seen_subcommand_from put get delete edit scan dump load clock explain init join leave replace ring status wait node up transfers push scale digest diff repair verify hints demo config completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from clock" -f -a "compare" -d 'Compare two clocks'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from ring" -f -a "show" -d 'Show the members and the share of each'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from ring" -f -a "plan" -d 'Print what changes would do; exits 1 when they would change something, otherwise 0'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from ring" -f -a "apply" -d 'Carry out a plan, or continue the change under way'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from ring" -f -a "where" -d 'Show the owners and fallbacks of a key'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from ring" -f -a "recover" -d 'Make a ring of the remaining nodes when a majority is lost for good'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from node" -f -a "run" -d 'Run one node in the foreground until it is stopped'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from node" -f -a "info" -d 'Show what a running node reports about itself'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from node" -f -a "drain" -d 'Stop a running node from serving clients, or let it serve again'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from node" -f -a "stop" -d 'Stop a running node, and wait until it has ended'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from node" -f -a "make" -d 'Make a node\'s directory from a description on stdin'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from push" -f -a "init" -d 'Print an inventory for some hosts'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from push" -f -a "check" -d 'Look whether hosts are fit to run nodes'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from push" -f -a "plan" -d 'Print what `push apply` would do'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from push" -f -a "apply" -d 'Make the hosts what the inventory says'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from push" -f -a "status" -d 'Show how hosts and their nodes are'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from push" -f -a "start" -d 'Start nodes that do not run'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from push" -f -a "stop" -d 'Stop nodes, all at once'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from push" -f -a "restart" -d 'Restart nodes, in turns that keep every quorum'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from push" -f -a "rollback" -d 'Go back to the release before, in turns that keep every quorum'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from push" -f -a "logs" -d 'Print the end of a node\'s log'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from push" -f -a "destroy" -d 'Stop and remove the nodes of a fleet'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from hints" -f -a "list" -d 'Print holder, target, key, partition, kind and bytes of each hint; exits 8 when some are damaged'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from hints" -f -a "deliver" -d 'Deliver all hints that can be; exits 0 when none is left, 7 when some may be, 8 when some are damaged'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Print name, address, quota, fingerprints of the ring\'s keys, and path of each node'
complete -c kvs -n "__fish_kvs_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "keygen" -d 'Make a ring key, or replace one with no node down'
