// Mutation tests: changes one CUDA or NCCL call of the program under test, as if the program had the mistake. The tests
// then require that the mistake is detected.
#pragma once

namespace gpas::virtual_gpu {

enum class Mistake {
    none,
    no_record,        // an event is not recorded
    no_wait,          // a stream does not wait for an event
    no_synchronize,   // a synchronization of a stream returns before the stream has finished
    other_count,      // an NCCL call has one element less
    other_type,       // an NCCL call has another data type
    left_out,         // an NCCL call is not made
    other_operation,  // a sum becomes a maximum
    swapped,          // an NCCL call is made after the next one
};

// Plants the mistake at its index-th place (from 0) on `rank`, a rank of this process's GPUs. A place is a call in
// which the mistake is possible. Replaces an earlier plant().
void plant(Mistake mistake, int rank, int index);
// Called at each place of `mistake`: counts it, and returns whether the mistake must be made here. Thread-safe.
bool planted(Mistake mistake);
// Whether the mistake has been made since the last plant().
bool was_planted();
// The number of places of `mistake` on `rank` since the last plant().
int places(Mistake mistake, int rank);

}  // namespace gpas::virtual_gpu
