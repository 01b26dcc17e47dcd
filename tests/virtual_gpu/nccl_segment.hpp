// What the ranks of one communicator of the virtual NCCL share.
#pragma once

#include "tests/virtual_gpu/shared_file.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace gpas::virtual_gpu {

inline constexpr int most_ranks_of_group = 8;
inline constexpr std::size_t slot_bytes = std::size_t(16) << 20;  // of one rank's call or message

// What must agree between ranks.
struct Signature {
    std::int32_t call = 0, type = 0, operation = 0, root = 0;
    std::uint64_t count = 0;
    bool operator==(const Signature&) const = default;
};

// Messages from the rank whose area it is to one other rank.
struct Lane {
    std::atomic<std::uint32_t> sender_connects, receiver_connects;
    std::atomic<std::uint64_t> sent, received;  // messages
    Signature signature;                        // of the last one
};

struct RankArea {
    std::atomic<std::uint32_t> attached;  // its rank in the job + 1
    std::atomic<std::uint32_t> gpu;       // its ordinal
    std::atomic<std::int32_t> process;
    std::atomic<std::uint32_t> connects;  // its first collective was called
    std::atomic<std::uint32_t> finalized, aborted;
    std::atomic<std::uint64_t> arrived;  // collectives
    std::atomic<std::uint64_t> completed;
    Signature signatures[2];          // of the last two
    Lane lanes[most_ranks_of_group];  // by receiver
};

class Segment {
public:
    explicit Segment(const std::string& name);

    RankArea& rank(int index) const;
    // Where a rank puts its part of its number-th collective, and its message to another.
    std::byte* collective_slot(int rank, std::uint64_t number) const;
    std::byte* message_slot(int from, int to) const;
    void unlink() { file_.unlink(); }

private:
    SharedFile file_;
};

}  // namespace gpas::virtual_gpu
