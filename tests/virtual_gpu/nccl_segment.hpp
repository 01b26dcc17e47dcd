// The memory that the ranks of one communicator of the virtual NCCL share.
#pragma once

#include "tests/virtual_gpu/shared_file.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace gpas::virtual_gpu {

inline constexpr int most_ranks_of_group = 8;
inline constexpr std::size_t slot_bytes = std::size_t(16) << 20;  // largest data of one call or message of a rank

// The arguments of a call that must agree between ranks.
struct Signature {
    std::int32_t call = 0, type = 0, operation = 0, root = 0;
    std::uint64_t count = 0;
    bool operator==(const Signature&) const = default;
};

// The messages from one rank to one other rank.
struct Lane {
    std::atomic<std::uint32_t> sender_connects, receiver_connects;  // 1: that end has made its first call
    std::atomic<std::uint64_t> sent, received;                      // number of messages
    Signature signature;                                            // of the last message
};

// The state that one rank publishes.
struct RankArea {
    std::atomic<std::uint32_t> attached;  // its rank in the job + 1; 0: not attached yet
    std::atomic<std::uint32_t> gpu;       // the ordinal of its GPU
    std::atomic<std::int32_t> process;    // pid
    std::atomic<std::uint32_t> connects;  // 1: it has called its first collective
    std::atomic<std::uint32_t> finalized, aborted;
    std::atomic<std::uint64_t> arrived;    // number of collectives that it has started
    std::atomic<std::uint64_t> completed;  // number of collectives that it has completed
    Signature signatures[2];               // of its last two collectives
    Lane lanes[most_ranks_of_group];       // index: the receiver
};

class Segment {
public:
    explicit Segment(const std::string& name);

    RankArea& rank(int index) const;
    // The memory for a rank's data of its collective `number`, and for its message to another rank.
    std::byte* collective_slot(int rank, std::uint64_t number) const;
    std::byte* message_slot(int from, int to) const;
    void unlink() { file_.unlink(); }

private:
    SharedFile file_;
};

}  // namespace gpas::virtual_gpu
