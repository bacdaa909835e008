# bash completion of ctsync. The program splits the command line itself, because a filter stands in quotes that are not
# closed yet. Nothing that is typed is evaluated here. The first line of the program's answer says what follows an offer:
# space, nospace, or files. The other lines are offers.
_ctsync() {
    local -a offers
    mapfile -t offers < <("$1" __line bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    COMPREPLY=("${offers[@]:1}")
    case ${offers[0]-} in
    files) compopt -o default ;;
    nospace) compopt -o nospace ;;
    esac
}
complete -F _ctsync ctsync
