# Completion of gpucoord(1) for bash.  Commands and options are asked of the
# program itself, so that they are those of the version at hand.

_gpucoord_words()
{
    # Print the commands, or the options of the command $1.
    if [ $# -eq 0 ]; then
        gpucoord help | sed -n 's/^  \([a-z-]*\) .*/\1/p'
    else
        gpucoord "$1" --help | sed -n 's/^  \(--[a-z-]*\) .*/\1/p'
    fi 2>/dev/null
}

_gpucoord()
{
    local word=$2 before=$3 words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words=$(_gpucoord_words)
    elif [[ ${COMP_WORDS[1]} == run && " ${COMP_WORDS[*]:2:COMP_CWORD-2} " == *" -- "* ]]; then
        compopt -o default
        return
    elif [[ $before == --config || $before == --trace || $before == --jobs ]]; then
        compopt -o default
        return
    elif [[ $before == --on-lost ]]; then
        words='continue stop term'
    elif [[ $before == --on-pause ]]; then
        words='never ask checkpoint checkpoint,term'
    elif [[ $before == --dir ]]; then
        compopt -o dirnames
        return
    elif [[ $word == -* ]]; then
        words=$(_gpucoord_words "${COMP_WORDS[1]}")
    else
        case ${COMP_WORDS[1]} in
        ack) words='paused resumed error' ;;
        bypass) words='on off' ;;
        run | check-config) compopt -o default ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _gpucoord gpucoord
