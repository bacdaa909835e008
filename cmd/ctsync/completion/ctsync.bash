# bash completion of ctsync. The program splits the line itself: a filter stands in quotes that are not closed yet, and
# nothing of what is typed is evaluated here. Its first line says what stands behind an offer, the others are offers.
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
