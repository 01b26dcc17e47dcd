// What the virtual GPUs of a job have not finished, in memory that all ranks share: where nothing moves any more, the
// ring of those that wait for each other can be named.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gpas::virtual_gpu {

// A collective or message, the same on every rank that takes part; group 0: work of one GPU.
struct BoardKey {
    std::uint64_t group = 0, number = 0;
    bool operator==(const BoardKey&) const = default;
};

struct BoardOperation {
    char name[96] = {};
    BoardKey key;
    std::uint64_t waits_for = 0;  // a running one: ranks that have not come to it, a bit each
    std::int32_t running = 0;
    std::int32_t behind = -1;  // one that is not running: the operation that it must wait for first
    char why[40] = {};         // it is behind that
};

struct BoardEntry {
    static constexpr int most_operations = 40;
    BoardOperation operations[most_operations];
    std::int32_t count = 0;
    std::int32_t host_behind = -1;     // the operation that the host waits for
    std::uint64_t host_waits_for = 0;  // ranks whose hosts this host waits for
    char host_call[64] = {};           // that the host is in, or was in last
    double seconds_of_entry = 0.0;     // when it was written; steady clock of the machine
};

// This process's rank in its job, if it has a launcher; `otherwise` without.
int job_rank(int otherwise);

// Thread-safe.
void publish(int rank, const BoardEntry& entry);
void forget(int rank);
// The ring of operations and hosts that wait for each other, one a line; empty if there is none among what ranks have
// published in the last seconds.
std::string deadlock();

}  // namespace gpas::virtual_gpu
