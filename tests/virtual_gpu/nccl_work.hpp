// Calls of the virtual NCCL as work on a virtual GPU.
#pragma once

#include "tests/virtual_gpu/device.hpp"
#include "tests/virtual_gpu/nccl_segment.hpp"

#include <nccl.h>

#include <memory>
#include <string>
#include <vector>

// NCCL declares it, and leaves it to its library.
struct ncclComm {
    int rank = 0, size = 0;
    int blocks = 0;  // multiprocessors that one of its calls holds
    bool blocking = true;
    std::string name;
    gpas::virtual_gpu::Device* device = nullptr;
    std::unique_ptr<gpas::virtual_gpu::Segment> segment;
    ncclResult_t error = ncclSuccess;
    bool started = false;  // all ranks have attached
    bool finalizing = false;
    std::uint64_t waits_for = 0;    // ranks of the job that the host waits for, a bit each
    std::uint64_t collectives = 0;  // called
    std::uint64_t sent[gpas::virtual_gpu::most_ranks_of_group] = {};      // messages called, by receiver
    std::uint64_t received[gpas::virtual_gpu::most_ranks_of_group] = {};  // by sender
    std::uint64_t enqueued = 0, over = 0;                                 // pieces of work
    std::shared_ptr<struct PendingCall> pending;                          // waits for connections

    gpas::virtual_gpu::RankArea& area(int index) const { return segment->rank(index); }
};

namespace gpas::virtual_gpu {

enum class NcclCall { all_reduce, reduce_scatter, all_gather, broadcast, reduce, send, receive };
const char* name_of(NcclCall call);
std::size_t size_of(ncclDataType_t type);

// The arguments of one call.
struct CallArguments {
    NcclCall call;
    const void* from = nullptr;
    void* to = nullptr;
    std::size_t count = 0;
    ncclDataType_t type = ncclFloat32;
    ncclRedOp_t operation = ncclSum;
    int peer = 0;  // or root
    bool is_message() const { return call == NcclCall::send || call == NcclCall::receive; }
};
std::string describe(const CallArguments& arguments, const ncclComm& comm);

// The work of calls that one communicator was given at once (a group, or a single call).
std::shared_ptr<SharedWork> make_work(ncclComm& comm, const std::vector<CallArguments>& calls);
bool belongs_to(const SharedWork& work, const ncclComm& comm);

}  // namespace gpas::virtual_gpu
