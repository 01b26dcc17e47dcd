// Mistakes planted in what a program asks of the virtual GPUs, as if the program had made them: to see whether they are
// noticed.
#pragma once

namespace gpas::virtual_gpu {

enum class Mistake {
    none,
    no_record,        // an event is not recorded
    no_wait,          // a stream does not wait for an event
    no_synchronize,   // the host takes a stream for finished that is not
    other_count,      // an NCCL call has one element less
    other_type,       // an NCCL call is of another data type
    left_out,         // an NCCL call is not made
    other_operation,  // a sum is a maximum
    swapped,          // an NCCL call is made after the next one
};

// The index-th time, from 0, that `rank` (of this process's GPUs) is about to do right what `mistake` does wrong. One
// mistake at a time.
void plant(Mistake mistake, int rank, int index);
// Whether it is to go wrong now. Counts. Thread-safe.
bool planted(Mistake mistake);
// Whether the mistake has been made since the last plant().
bool was_planted();
// How often planted() was asked on `rank` since the last plant().
int places(Mistake mistake, int rank);

}  // namespace gpas::virtual_gpu
