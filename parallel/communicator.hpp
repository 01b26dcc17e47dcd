// A group of ranks (a process group in torch.distributed) with its collectives and point-to-point calls. MPI, NCCL, a
// staged combination of both, and the group of one rank implement the interface. Model and training code does not know
// which implementation it has. A group of one rank sends nothing.
#pragma once

#include "kernels/tensor.hpp"
#include "parallel/board/rank_shared.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace gpas {

enum class ReduceOp { sum, max, min };

// An operation that has been started and may be unfinished. Its buffers must not be touched until wait() has returned.
// The destructor waits, too, with the same limit, but drops errors. With NCCL, wait() does not block the host: it makes the compute stream wait.
class Transfer {
public:
    virtual ~Transfer() = default;
    // Returns when the operation has finished. Error(environment) after a timeout or a failure of MPI or NCCL;
    // Error(internal) if the two ends of a message have different sizes.
    virtual void wait() = 0;
    // Whether the operation has finished; if so, it has the effect of wait(). Lets MPI make progress. Does not block.
    // Same errors as wait(), except for the timeout.
    virtual bool finished() = 0;
};

// Every rank of the group calls each collective, in the same order and with the same sizes. If waits().verify is set, MPI groups compare the calls of their ranks before each collective except barrier(). If the calls differ,
// Error(internal) lists the calls of the first 8 ranks.
// `what` names the tensor in reports; pass a string literal. Sizes are not limited: MPI
// sends messages of more than 2^28 elements in pieces. A wait that exceeds waits().timeout_seconds (0: no limit)
// throws Error(environment), which names the call, the ranks that wait as well, and the ranks that are missing.
// Not thread-safe: the training thread makes all calls.
class Communicator {
public:
    virtual ~Communicator() = default;

    virtual int rank() const = 0;
    virtual int size() const = 0;

    // What all groups of this rank share. The functions below return its parts.
    virtual RankShared& shared() = 0;
    RankBoard& board() { return shared().board; }           // what this rank is doing, for other processes
    RankProgress& progress() { return shared().progress; }  // sets what this rank is doing
    CallLog& calls() { return shared().calls; }             // the log of this rank's last calls
    WaitSettings& waits() { return shared().waits; }
    // Seconds that the host has waited so far in this group's blocking calls and in wait() of its transfers. With NCCL
    // only host values count, because the host does not wait for GPU tensors.
    double waited_seconds() const { return waited_seconds_; }

    // data = the element-wise reduction over ranks; bitwise equal on every rank. fp32, bf16, int32, fp64. MPI adds two
    // bf16 terms in fp32 and rounds each partial sum to bf16; NCCL has its own order.
    virtual void all_reduce(Tensor data, ReduceOp op, const char* what) = 0;
    // values [count] = the reduction over ranks. Host memory.
    virtual void all_reduce(double* values, std::int64_t count, ReduceOp op, const char* what) = 0;
    virtual void all_reduce(std::int64_t* values, std::int64_t count, ReduceOp op, const char* what) = 0;
    // part = this rank's share of the sum of `whole` over ranks: elements [rank·n, (rank+1)·n), where n is the number
    // of elements of `part`. `whole` has size·n elements. Same dtypes as all_reduce().
    virtual void reduce_scatter(Tensor part, Tensor whole, const char* what) = 0;
    // whole = the parts of all ranks, concatenated in rank order. `whole` has size·n elements if `part` has n.
    virtual void all_gather(Tensor whole, Tensor part, const char* what) = 0;
    // data = root's data. Host memory.
    virtual void broadcast(void* data, std::int64_t bytes, int root, const char* what) = 0;
    virtual void barrier(const char* what) = 0;

    // Point-to-point messages. Messages from one rank to another match in the order in which they were started. fp32,
    // bf16, int32. With MPI, wait() throws Error(internal) if sender and receiver have different sizes.
    virtual std::unique_ptr<Transfer> start_send(Tensor data, int to, const char* what) = 0;
    virtual std::unique_ptr<Transfer> start_receive(Tensor data, int from, const char* what) = 0;
    // Lets the next start_receive() into GPU memory begin as soon as the work that is on the compute stream now has
    // finished. Without this call the receive also waits for work that is enqueued between now and start_receive().
    // Only NCCL groups use it.
    virtual void allow_receive() {}
    // Sends `sent` to rank `to` and receives `received` from rank `from`. Every rank of the group calls it at the same
    // position among its collectives, so that each send has its receive. Same dtypes as start_send().
    virtual std::unique_ptr<Transfer> start_exchange(Tensor sent, int to, Tensor received, int from, const char* what);
    // Non-blocking collectives, with the contracts of the blocking ones. In both forms `part` may be this rank's share
    // within `whole` (in place).
    virtual std::unique_ptr<Transfer> start_all_reduce(Tensor data, ReduceOp op, const char* what) = 0;
    virtual std::unique_ptr<Transfer> start_reduce_scatter(Tensor part, Tensor whole, const char* what) = 0;
    virtual std::unique_ptr<Transfer> start_all_gather(Tensor whole, Tensor part, const char* what) = 0;

    // A new group of the ranks with the same color, ordered by key, as MPI_Comm_split. `name` is for reports.
    // Collective over this group.
    virtual std::unique_ptr<Communicator> split(int color, int key, const char* name) = 0;
    // A second group of the same ranks. Messages of one group never match messages of the other. Collective.
    virtual std::unique_ptr<Communicator> duplicate() = 0;

protected:
    double waited_seconds_ = 0.0;
};

// text = root's text, of any length. Collective.
void broadcast(Communicator& group, std::string& text, int root, const char* what);

// The group of one rank, without MPI. It copies host memory only: for GPU tensors, `part` must be the memory of
// `whole`.
std::unique_ptr<Communicator> make_self_communicator();

}  // namespace gpas
