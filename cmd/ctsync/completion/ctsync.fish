# fish completion of ctsync. The program splits the command line itself, because a filter stands in quotes that are not
# closed yet. Nothing that is typed is evaluated here. The first line of the program's answer says what follows an offer:
# space, nospace, or files. The other lines are offers.
function __ctsync_offers
    set -l answer (ctsync __line fish (commandline -cp | string collect) 2>/dev/null)
    if test "$answer[1]" = files
        __fish_complete_path (commandline -ct)
    else if set -q answer[2]
        printf '%s\n' $answer[2..-1]
    end
end
complete -c ctsync -f -a '(__ctsync_offers)'
