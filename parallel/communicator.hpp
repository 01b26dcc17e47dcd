// One group of ranks and what they say to each other, under the field's usual names. Model and training code never
// sees which kind it has; a group of size one is ordinary and costs nothing.
#pragma once

#include "kernels/tensor.hpp"
#include "parallel/comm_log.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace gpas {

enum class ReduceOp { sum, max, min };

// A transfer under way. Its buffers must not be touched until wait() has returned; destroying it waits too.
class Transfer {
public:
    virtual ~Transfer() = default;
    virtual void wait() = 0;      // Error(environment)
    virtual bool finished() = 0;  // drives progress, does not block
};

// Collectives are called by every rank of the group, in the same order and with the same sizes: where the log's
// settings say so, ranks compare what they call first, and Error(internal) tells who called what. `what` names the
// tensor for diagnosis (a literal: it is kept). Sizes are unlimited (more than 2^31 elements are sent in pieces). No
// call waits without limit: after the log's timeout, Error(environment) names the call, those who wait too, and
// those who are missing.
class Communicator {
public:
    virtual ~Communicator() = default;

    virtual int rank() const = 0;
    virtual int size() const = 0;

    // Of this rank, shared by all groups that come from one world: the last calls, and settings of how to wait.
    virtual CommLog& log() = 0;
    // Seconds that this group's calls have made the program wait so far.
    double waited_seconds() const { return waited_seconds_; }

    // data = reduction over ranks, element by element; same bits on every rank. fp32, bf16 (summed in fp32), int32,
    // fp64.
    virtual void all_reduce(Tensor data, ReduceOp op, const char* what) = 0;
    // Host scalars, in the type that bookkeeping needs.
    virtual void all_reduce(double* values, std::int64_t count, ReduceOp op, const char* what) = 0;
    virtual void all_reduce(std::int64_t* values, std::int64_t count, ReduceOp op, const char* what) = 0;
    // part = this rank's 1/size of the sum of `whole` over ranks; elements() of whole = size * elements() of part.
    virtual void reduce_scatter(Tensor part, Tensor whole, const char* what) = 0;
    // whole = the parts of all ranks in rank order.
    virtual void all_gather(Tensor whole, Tensor part, const char* what) = 0;
    virtual void broadcast(void* data, std::int64_t bytes, int root, const char* what) = 0;
    virtual void barrier(const char* what) = 0;

    // Point to point. Messages from one rank to another match in the order in which they were started. fp32, bf16,
    // int32; Error(internal) when the sizes of the two ends differ.
    virtual std::unique_ptr<Transfer> start_send(Tensor data, int to, const char* what) = 0;
    virtual std::unique_ptr<Transfer> start_receive(Tensor data, int from, const char* what) = 0;
    // The next start_receive() into memory of a GPU may begin when what is enqueued on the compute stream by now is done: it
    // does not wait for what is enqueued between this call and its own. Nothing for memory of the host.
    virtual void allow_receive() {}
    // Sends `sent` to one rank and receives `received` from another. Every rank of the group calls it, at the same place
    // among its collectives, so that each message has both its ends. What start_send() and start_receive() may carry.
    virtual std::unique_ptr<Transfer> start_exchange(Tensor sent, int to, Tensor received, int from, const char* what);
    // Collectives that go on beside the program, with the contracts of their blocking forms. `part` may lie at its
    // place in `whole`, here and there.
    virtual std::unique_ptr<Transfer> start_all_reduce(Tensor data, ReduceOp op, const char* what) = 0;
    virtual std::unique_ptr<Transfer> start_reduce_scatter(Tensor part, Tensor whole, const char* what) = 0;
    virtual std::unique_ptr<Transfer> start_all_gather(Tensor whole, Tensor part, const char* what) = 0;

    // The ranks of equal color, ordered by key, as a group of their own; `name` is for reports. Collective over this
    // group.
    virtual std::unique_ptr<Communicator> split(int color, int key, const char* name) = 0;
    // A second channel for the same ranks: messages on one never match those on the other.
    virtual std::unique_ptr<Communicator> duplicate() = 0;

protected:
    double waited_seconds_ = 0.0;
};

// Broadcasts a text of any length from root.
void broadcast(Communicator& group, std::string& text, int root, const char* what);

std::unique_ptr<Communicator> make_self_communicator();

class Watcher;
struct WatchSettings;

// Owns MPI_Init and MPI_Finalize of the process, and its watcher, which begins before and ends after. Without a launcher
// (no mpirun, no srun) the world has one rank.
class MpiSession {
public:
    MpiSession(int* argc, char*** argv);
    MpiSession(int* argc, char*** argv, const WatchSettings& watch);
    ~MpiSession();
    MpiSession(const MpiSession&) = delete;
    MpiSession& operator=(const MpiSession&) = delete;

    std::unique_ptr<Communicator> world() const;
    int rank() const { return rank_; }
    // Ranks of this node, and this rank's place among them (for threads and devices).
    int local_rank() const { return local_rank_; }
    int local_size() const { return local_size_; }
    Watcher& watcher() const { return *watcher_; }
    // Ends every rank of the job with this exit code; for errors that only one rank has seen. Does not return.
    [[noreturn]] void abort(int exit_code) const;

private:
    std::unique_ptr<Watcher> watcher_;
    std::shared_ptr<Rehearsal> rehearsal_;
    int rank_ = 0;
    int local_rank_ = 0;
    int local_size_ = 1;
};

}  // namespace gpas
