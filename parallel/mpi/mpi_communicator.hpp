// Communicator over MPI, for host memory.
#pragma once

#include "parallel/communicator.hpp"
#include "parallel/mpi/mpi_job.hpp"

#include <mpi.h>

#include <memory>
#include <string>

namespace gpas {

class MpiRequests;

class MpiCommunicator final : public Communicator {
public:
    // The first group of a job. Takes ownership of `comm` and frees it, unless it is MPI_COMM_WORLD or MPI_COMM_SELF.
    // Collective.
    explicit MpiCommunicator(MPI_Comm comm);
    // Also logs the calls on this board, which a watcher reads. The board must outlive all groups.
    MpiCommunicator(MPI_Comm comm, RankBoard& board);
    ~MpiCommunicator() override;
    MpiCommunicator(const MpiCommunicator&) = delete;
    MpiCommunicator& operator=(const MpiCommunicator&) = delete;

    int rank() const override { return rank_; }
    int size() const override { return size_; }
    RankShared& shared() override { return job_->rank; }
    MPI_Comm handle() const { return comm_; }

    void all_reduce(Tensor data, ReduceOp op, const char* what) override;
    void all_reduce(double* values, std::int64_t count, ReduceOp op, const char* what) override;
    void all_reduce(std::int64_t* values, std::int64_t count, ReduceOp op, const char* what) override;
    void reduce_scatter(Tensor part, Tensor whole, const char* what) override;
    void all_gather(Tensor whole, Tensor part, const char* what) override;
    void broadcast(void* data, std::int64_t bytes, int root, const char* what) override;
    void barrier(const char* what) override;
    std::unique_ptr<Transfer> start_send(Tensor data, int to, const char* what) override;
    std::unique_ptr<Transfer> start_receive(Tensor data, int from, const char* what) override;
    std::unique_ptr<Transfer> start_all_reduce(Tensor data, ReduceOp op, const char* what) override;
    std::unique_ptr<Transfer> start_reduce_scatter(Tensor part, Tensor whole, const char* what) override;
    std::unique_ptr<Transfer> start_all_gather(Tensor whole, Tensor part, const char* what) override;
    std::unique_ptr<Communicator> split(int color, int key, const char* name) override;
    std::unique_ptr<Communicator> duplicate() override;

private:
    MpiCommunicator(MPI_Comm comm, std::string name, std::shared_ptr<MpiJob> job);
    void set_up();
    // Logs a call and returns its requests, which are still empty.
    std::unique_ptr<MpiRequests> begin(const char* op, const char* what, std::string data);
    // As begin(), for a collective: if waits().verify is set, first compares the calls of the group's ranks.
    std::unique_ptr<MpiRequests> begin_collective(const char* op, const char* what, std::string data);
    void verify(std::int64_t call);
    std::unique_ptr<MpiRequests> start_reduction(void* data, std::int64_t elements, MPI_Datatype type, MPI_Op op,
                                                 const char* what, std::string text);
    MPI_Datatype element_type(Dtype dtype) const;
    MPI_Op reduction(ReduceOp op, Dtype dtype) const;

    MPI_Comm comm_;
    std::string name_;
    std::shared_ptr<MpiJob> job_;
    int rank_ = 0;
    int size_ = 1;
    // MPI has no bf16: the type is two bytes, and these operations interpret them.
    MPI_Datatype bf16_type_ = MPI_DATATYPE_NULL;
    MPI_Op bf16_sum_ = MPI_OP_NULL;
    MPI_Op bf16_max_ = MPI_OP_NULL;
    MPI_Op bf16_min_ = MPI_OP_NULL;
};

}  // namespace gpas
