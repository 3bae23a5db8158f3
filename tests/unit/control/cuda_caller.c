/* The hidden command of gpucoord, alone. */
#include "control/cuda_call.h"

int main(int argc, char **argv)
{
    return cuda_call_main(argc, argv);
}
