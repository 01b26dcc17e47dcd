// Mistakes planted in what a program asks of the virtual GPUs, as if the program had made them: to see whether they are
// noticed.
#pragma once

namespace gpas::virtual_gpu {

enum class Mistake {
    none,
    no_record,         // an event is not recorded
    no_wait,           // a stream does not wait for an event
    no_synchronize,    // the host takes a stream for finished
    other_count,       // an NCCL call has one element less
    other_type,        // an NCCL call is of another data type
    left_out,          // an NCCL call is not made
    swapped,           // an NCCL call is made after the next one
    other_peer,        // a message goes to, or is expected from, the rank itself
    other_operation,   // a sum is a maximum
    half_group,        // what follows the first call of a group is not in the group
    no_finalize,       // ncclCommFinalize is not called
    no_abort,          // ncclCommAbort is not called
    early_free,        // memory is freed before its time: at the next call after its allocation
    copied_too_early,  // host memory changes after a copy from it was enqueued
};

// The index-th time, from 0, that `rank` (of this process's GPUs) is about to do right what `mistake` does wrong. One
// mistake at a time.
void plant(Mistake mistake, int rank, int index);
// Whether it is to go wrong now. Counts. Thread-safe.
bool planted(Mistake mistake);
// How often planted() was asked on `rank` since the last plant().
int places(Mistake mistake, int rank);

}  // namespace gpas::virtual_gpu
