// The unfinished operations of all virtual GPUs of a job, in memory that all ranks share. If nothing makes progress, a
// search through them finds the cycle of operations and hosts that wait for each other: the deadlock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gpas::virtual_gpu {

// Identifies a collective or message: equal on every rank that takes part in it. group 0: the work of one GPU alone.
struct BoardKey {
    std::uint64_t group = 0, number = 0;
    bool operator==(const BoardKey&) const = default;
};

struct BoardOperation {
    char name[96] = {};
    BoardKey key;
    std::uint64_t waits_for = 0;  // if running: the ranks that have not reached it, one bit per rank
    std::int32_t running = 0;     // 1: started
    std::int32_t behind = -1;  // if not running: index of the operation that it waits for first; -1: no such operation
    char why[40] = {};         // why it waits for that operation
};

struct BoardEntry {
    static constexpr int most_operations = 40;
    BoardOperation operations[most_operations];
    std::int32_t count = 0;
    std::int32_t host_behind = -1;     // index of the operation that the host waits for; -1: no operation
    std::uint64_t host_waits_for = 0;  // the ranks whose hosts this host waits for, one bit per rank
    char host_call[64] = {};           // the host's current or last CUDA or NCCL call
    double seconds_of_entry = 0.0;     // when publish() wrote this entry; steady clock of the machine
};

// This process's rank in its job; `otherwise` if it was started without Open MPI's launcher.
int job_rank(int otherwise);

// Thread-safe, all three. publish() replaces the rank's entry; forget() removes it.
void publish(int rank, const BoardEntry& entry);
void forget(int rank);
// A cycle of operations and hosts that wait for each other, one per line. Empty if the entries of the last 5 seconds
// contain no cycle.
std::string deadlock();

}  // namespace gpas::virtual_gpu
