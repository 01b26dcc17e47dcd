// The NCCL functions that gpas calls, for virtual GPUs. They behave as NVIDIA documents them, including the differences
// between versions 2.18 and 2.32 (GPAS_VIRTUAL_NCCL_VERSION).
#include "tests/virtual_gpu/findings.hpp"
#include "tests/virtual_gpu/mistakes.hpp"
#include "tests/virtual_gpu/nccl_work.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

using namespace gpas::virtual_gpu;

// Calls that wait for connections, and the stream on which they are enqueued afterwards.
struct PendingCall {
    Stream* stream = nullptr;
    std::vector<CallArguments> calls;
};

namespace {

constexpr int collectives_connect_lazily = 22200;  // earlier versions connect when the communicator is made
constexpr int ranks_may_share_a_gpu = 23000;
constexpr int default_blocks = 32;

struct GroupedCall {
    ncclComm_t comm;
    Stream* stream;
    CallArguments arguments;
};
thread_local int group_depth = 0;
thread_local std::vector<GroupedCall> grouped;
thread_local std::optional<GroupedCall> held_back;  // postponed by the planted mistake `swapped`
thread_local std::string last_error;

ncclResult_t fail(ncclResult_t result, std::string why) {
    last_error = std::move(why);
    return result;
}

// ---- connections ---------------------------------------------------------------------------------------------------

using Ranks = std::uint64_t;  // a set of the job's ranks, one bit per rank

Ranks job_ranks(const ncclComm& comm, int rank) {
    const std::uint32_t attached = comm.area(rank).attached.load();
    return attached != 0 ? Ranks(1) << (attached - 1) % 64 : 0;
}

// Publishes that this rank is ready to connect for the call. Returns the ranks that are not ready yet.
Ranks connect(ncclComm& comm, const CallArguments& c) {
    if (comm.size == 1) return 0;
    Ranks missing = 0;
    if (!c.is_message()) {
        if (settings().nccl_version < collectives_connect_lazily) return 0;
        comm.area(comm.rank).connects.store(1);
        for (int rank = 0; rank < comm.size; ++rank)
            if (comm.area(rank).connects.load() == 0) missing |= job_ranks(comm, rank);
        return missing;
    }
    if (c.peer == comm.rank) return 0;
    const bool sends = c.call == NcclCall::send;
    Lane& lane = sends ? comm.area(comm.rank).lanes[c.peer] : comm.area(c.peer).lanes[comm.rank];
    (sends ? lane.sender_connects : lane.receiver_connects).store(1);
    return lane.sender_connects.load() != 0 && lane.receiver_connects.load() != 0 ? 0 : job_ranks(comm, c.peer);
}

Ranks unconnected(ncclComm& comm, const std::vector<CallArguments>& calls) {
    Ranks missing = 0;
    for (const CallArguments& call : calls) missing |= connect(comm, call);
    return missing;
}

void enqueue(ncclComm& comm, const PendingCall& call) {
    std::string name = describe(call.calls.front(), comm);
    if (call.calls.size() > 1) name += " and " + std::to_string(call.calls.size() - 1) + " more";
    call.stream->device->enqueue(call.stream, std::move(name), make_work(comm, call.calls));
}

// Advances what the communicator was last asked for: to start, to make a call that waits for connections, or to
// finalize. Returns false while that waits for other ranks.
bool goes_on(ncclComm& comm) {
    if (!comm.started) {
        for (int rank = 0; rank < comm.size; ++rank)
            if (comm.area(rank).attached.load() == 0) return false;
        comm.started = true;
        comm.segment->unlink();
        std::set<std::uint32_t> gpus;
        for (int rank = 0; rank < comm.size; ++rank)
            if (!gpus.insert(comm.area(rank).gpu.load()).second &&
                (settings().nccl_version < ranks_may_share_a_gpu || !settings().multi_rank_gpu))
                comm.error = fail(ncclInvalidUsage, "Duplicate GPU detected");
    }
    if (comm.pending) {
        comm.waits_for = unconnected(comm, comm.pending->calls);
        if (comm.waits_for != 0) return false;
        enqueue(comm, *std::exchange(comm.pending, nullptr));
    }
    if (comm.finalizing) {
        if (comm.over < comm.enqueued) return false;
        comm.area(comm.rank).finalized.store(1);
        comm.waits_for = 0;
        for (int rank = 0; rank < comm.size; ++rank)
            if (comm.area(rank).finalized.load() == 0 && comm.area(rank).aborted.load() == 0)
                comm.waits_for |= job_ranks(comm, rank);
        if (comm.waits_for != 0) return false;
    }
    return true;
}

bool lives(const ncclComm& comm, int rank) {
    const int process = comm.area(rank).process.load();
    return process == 0 || kill(process, 0) == 0;
}

ncclResult_t make(ncclComm& comm, Stream* stream, std::vector<CallArguments> calls) {
    if (comm.error != ncclSuccess) return comm.error;
    if (comm.pending || !comm.started) {
        report("a call of " + std::string(name_of(calls.front().call)) + " over " + comm.name +
               ", which has not begun what it was asked for before (ncclInProgress)");
        return fail(ncclInvalidUsage, "the communicator is in progress");
    }
    comm.pending = std::make_shared<PendingCall>(PendingCall{stream, std::move(calls)});
    while (!goes_on(comm)) {
        if (!comm.blocking) return ncclInProgress;
        comm.device->yield("NCCL: the first call between two ranks, which connects them", comm.waits_for);
        usleep(50);
    }
    comm.device->stop_waiting();
    return ncclSuccess;
}

CallArguments with_mistakes(CallArguments c) {
    if (planted(Mistake::other_count) && c.count > 1) --c.count;
    if (planted(Mistake::other_type)) c.type = size_of(c.type) == 4 ? ncclBfloat16 : ncclUint8;
    const bool sums = c.call == NcclCall::all_reduce || c.call == NcclCall::reduce_scatter;
    if (sums && planted(Mistake::other_operation)) c.operation = ncclMax;
    return c;
}

ncclResult_t call(ncclComm_t comm, cudaStream_t stream, const CallArguments& arguments) {
    if (comm == nullptr) return ncclInvalidArgument;
    if (arguments.peer < 0 || arguments.peer >= comm->size) return fail(ncclInvalidArgument, "peer or root");
    if (planted(Mistake::left_out)) return ncclSuccess;
    GroupedCall made{comm, reinterpret_cast<Stream*>(stream), with_mistakes(arguments)};
    if (group_depth > 0) {
        grouped.push_back(std::move(made));
        return ncclSuccess;
    }
    if (planted(Mistake::swapped) && !held_back) {
        held_back = std::move(made);
        return ncclSuccess;
    }
    const ncclResult_t result = make(*comm, made.stream, {made.arguments});
    if (held_back) {
        const GroupedCall late = *std::exchange(held_back, std::nullopt);
        while (!goes_on(*late.comm)) late.comm->device->yield("a swapped call");
        make(*late.comm, late.stream, {late.arguments});
    }
    return result;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
    *version = settings().nccl_version;
    return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
    switch (result) {
        case ncclSuccess: return "no error";
        case ncclRemoteError: return "remote process exited or there was a network error";
        case ncclInvalidUsage: return "invalid usage";
        case ncclInProgress: return "NCCL operation in progress";
        default: return "an error of the virtual NCCL";
    }
}
const char* ncclGetLastError(ncclComm_t) { return last_error.c_str(); }

// ---- communicators -------------------------------------------------------------------------------------------------

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
    static std::atomic<int> next{0};
    std::memset(id, 0, sizeof *id);
    std::snprintf(id->internal, sizeof id->internal, "/gpas_virtual_nccl_%d_%d", getpid(), next++);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank, ncclConfig_t* config) {
    if (size > most_ranks_of_group) return fail(ncclInvalidArgument, "more ranks than the virtual NCCL has room for");
    auto made = std::make_unique<ncclComm>();
    made->rank = rank;
    made->size = size;
    made->name = std::string("communicator ") + (std::strrchr(id.internal, 'l') + 2);
    made->device = &current_device();
    made->blocks = default_blocks;
    if (config != nullptr) {
        made->blocking = config->blocking != 0;
        if (config->maxCTAs > 0) made->blocks = config->maxCTAs;
#if NCCL_VERSION_CODE >= 22700
        if (config->commName != nullptr) made->name = config->commName + std::string(" (") + made->name + ")";
#endif
    }
    made->segment = std::make_unique<Segment>(id.internal);
    RankArea& mine = made->area(rank);
    mine.gpu.store(std::uint32_t(made->device->ordinal()));
    mine.process.store(getpid());
    mine.attached.store(std::uint32_t(job_rank(made->device->ordinal())) + 1);
    *comm = made.release();
    if (!(*comm)->blocking || group_depth > 0) return (*comm)->blocking ? ncclSuccess : ncclInProgress;
    while (!goes_on(**comm)) usleep(50);
    return (*comm)->error;
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int size, ncclUniqueId id, int rank) {
    return ncclCommInitRankConfig(comm, size, id, rank, nullptr);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
    if (!goes_on(*comm)) {
        comm->device->yield("a wait until NCCL has connected ranks", comm->waits_for);
        usleep(20);
        *state = ncclInProgress;
    } else {
        comm->device->stop_waiting();
        *state = comm->error;
    }
    if (settings().dead_peers_are_errors)
        for (int rank = 0; rank < comm->size; ++rank)
            if (!lives(*comm, rank)) *state = ncclRemoteError;
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
    comm->finalizing = true;
    while (!goes_on(*comm)) {
        if (!comm->blocking) return ncclInProgress;
        comm->device->yield("ncclCommFinalize", comm->waits_for);
        usleep(50);
    }
    comm->device->stop_waiting();
    return ncclSuccess;
}

// Without an earlier ncclCommFinalize this call waits until all ranks of the communicator have called it.
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    comm->finalizing = true;
    while (!goes_on(*comm)) {
        comm->device->yield("ncclCommDestroy", comm->waits_for);
        usleep(50);
    }
    comm->device->stop_waiting();
    delete comm;
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
    comm->area(comm->rank).aborted.store(1);
    comm->device->drop([&](const SharedWork& work) { return belongs_to(work, *comm); });
    delete comm;
    return ncclSuccess;
}

// ---- groups --------------------------------------------------------------------------------------------------------

ncclResult_t ncclGroupStart() {
    ++group_depth;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
    if (--group_depth > 0) return ncclSuccess;
    std::vector<GroupedCall> calls = std::exchange(grouped, {});
    ncclResult_t result = ncclSuccess;
    while (!calls.empty()) {
        const ncclComm_t comm = calls.front().comm;
        Stream* const stream = calls.front().stream;
        std::vector<CallArguments> together;
        std::erase_if(calls, [&](const GroupedCall& each) {
            if (each.comm != comm || each.stream != stream) return false;
            together.push_back(each.arguments);
            return true;
        });
        const ncclResult_t made = make(*comm, stream, std::move(together));
        if (made != ncclSuccess) result = made;
    }
    return result;
}

// ---- calls ---------------------------------------------------------------------------------------------------------

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t operation,
                           ncclComm_t comm, cudaStream_t stream) {
    return call(comm, stream, {NcclCall::all_reduce, from, to, count, type, operation});
}
ncclResult_t ncclReduceScatter(const void* from, void* to, std::size_t count, ncclDataType_t type,
                               ncclRedOp_t operation, ncclComm_t comm, cudaStream_t stream) {
    return call(comm, stream, {NcclCall::reduce_scatter, from, to, count, type, operation});
}
ncclResult_t ncclAllGather(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
    return call(comm, stream, {NcclCall::all_gather, from, to, count, type});
}
ncclResult_t ncclBroadcast(const void* from, void* to, std::size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
    return call(comm, stream, {NcclCall::broadcast, from, to, count, type, ncclSum, root});
}
ncclResult_t ncclReduce(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t operation,
                        int root, ncclComm_t comm, cudaStream_t stream) {
    return call(comm, stream, {NcclCall::reduce, from, to, count, type, operation, root});
}
ncclResult_t ncclSend(const void* from, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
    return call(comm, stream, {NcclCall::send, from, nullptr, count, type, ncclSum, peer});
}
ncclResult_t ncclRecv(void* to, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
    return call(comm, stream, {NcclCall::receive, nullptr, to, count, type, ncclSum, peer});
}

}  // extern "C"
