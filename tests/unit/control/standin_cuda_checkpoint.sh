#!/bin/sh
# A stand-in for NVIDIA's program, driven by files in $STANDIN_CUDA: `states` as
# for the stand-in library, `toggles` where it is that of driver 550, which has
# --toggle only.  Its help and its silence on success are those of
# cuda-checkpoint 570.86.10 (github.com/NVIDIA/cuda-checkpoint, README.md); a
# process is told to open or close its GPU by a signal, in the driver's place.
set -eu
verb= action= pid=
while [ $# -gt 0 ]; do
    case $1 in
    --help) verb=help ;;
    --get-state) verb=state ;;
    --toggle) verb=toggle ;;
    --action) verb=action action=$2; shift ;;
    --pid) pid=$2; shift ;;
    --timeout) shift ;;
    esac
    shift
done

move() { # FROM TO
    if [ "$(cat "$STANDIN_CUDA/state.$pid" 2>/dev/null)" != "$1" ]; then
        echo 'CUDA_ERROR_ILLEGAL_STATE' >&2
        exit 1
    fi
    echo "$2" >"$STANDIN_CUDA/state.$pid"
}

echo "$verb $action $pid" >>"$STANDIN_CUDA/calls"
case $verb$action in
help)
    echo 'CUDA checkpoint and restore utility.'
    [ -e "$STANDIN_CUDA/toggles" ] ||
        echo '--action lock | checkpoint | restore | unlock --pid <pid>'
    echo '--toggle --pid <pid>'
    ;;
state)
    case $(cat "$STANDIN_CUDA/state.$pid" 2>/dev/null) in
    0) echo running ;;
    1) echo locked ;;
    2) echo checkpointed ;;
    *) echo 'CUDA_ERROR_INVALID_VALUE' >&2; exit 1 ;;
    esac
    ;;
toggle) kill -USR1 "$pid"
    # The call comes back when it is done.
    while [ -e "$STANDIN_CUDA/state.$pid" ] &&
        [ "$(cat "$STANDIN_CUDA/state.$pid")" = toggling ]; do :; done ;;
actionlock) move 0 1 ;;
actioncheckpoint) move 1 2 ;;
actionrestore) move 2 1 ;;
actionunlock) move 1 0 ;;
*) exit 1 ;;
esac
