// Turns calls of the virtual NCCL into work of a virtual GPU.
#pragma once

#include "tests/virtual_gpu/device.hpp"
#include "tests/virtual_gpu/nccl_segment.hpp"

#include <nccl.h>

#include <memory>
#include <string>
#include <vector>

// The communicator. nccl.h declares the struct; the library, here the virtual one, defines it.
struct ncclComm {
    int rank = 0, size = 0;
    int blocks = 0;  // multiprocessors that one of its calls occupies
    bool blocking = true;
    std::string name;
    gpas::virtual_gpu::Device* device = nullptr;
    std::unique_ptr<gpas::virtual_gpu::Segment> segment;
    ncclResult_t error = ncclSuccess;
    bool started = false;  // all ranks have attached
    bool finalizing = false;
    std::uint64_t waits_for = 0;    // the job's ranks that the host waits for, one bit per rank
    std::uint64_t collectives = 0;  // number of collectives called
    std::uint64_t sent[gpas::virtual_gpu::most_ranks_of_group] = {};      // number of sends called; index: receiver
    std::uint64_t received[gpas::virtual_gpu::most_ranks_of_group] = {};  // number of receives called; index: sender
    std::uint64_t enqueued = 0, over = 0;                                 // pieces of work enqueued, and ended
    std::shared_ptr<struct PendingCall> pending;                          // a call that waits for connections

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
    int peer = 0;  // the rank at the other end, or the root
    bool is_message() const { return call == NcclCall::send || call == NcclCall::receive; }
};
std::string describe(const CallArguments& arguments, const ncclComm& comm);

// The work of the calls of one NCCL group on one communicator, or of a single call.
std::shared_ptr<SharedWork> make_work(ncclComm& comm, const std::vector<CallArguments>& calls);
bool belongs_to(const SharedWork& work, const ncclComm& comm);

}  // namespace gpas::virtual_gpu
