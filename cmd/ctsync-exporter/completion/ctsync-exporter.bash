# bash completion of ctsync-exporter
_ctsync_exporter() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    [[ $word == = ]] && word=
    [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
    case $before in
    --web.config.file | --socket)
        compopt -o default
        COMPREPLY=()
        ;;
    --web.listen-address) mapfile -t COMPREPLY < <(compgen -W "127.0.0.1:9780" -- "$word") ;;
    *)
        mapfile -t COMPREPLY < <(
            compgen -W "--web.listen-address --web.config.file --socket --version --help" -- "$word"
        )
        ;;
    esac
}
complete -F _ctsync_exporter ctsync-exporter
