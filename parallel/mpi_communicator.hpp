// Communicator over MPI, for host memory.
#pragma once

#include "parallel/communicator.hpp"

#include <mpi.h>

namespace gpas {

class MpiCommunicator final : public Communicator {
public:
    // Takes the communicator over and frees it, unless it is one of MPI's own.
    explicit MpiCommunicator(MPI_Comm comm);
    ~MpiCommunicator() override;
    MpiCommunicator(const MpiCommunicator&) = delete;
    MpiCommunicator& operator=(const MpiCommunicator&) = delete;

    int rank() const override { return rank_; }
    int size() const override { return size_; }
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
    std::unique_ptr<Communicator> split(int color, int key) override;
    std::unique_ptr<Communicator> duplicate() override;

private:
    MPI_Datatype element_type(Dtype dtype) const;
    MPI_Op reduction(ReduceOp op, Dtype dtype) const;

    MPI_Comm comm_;
    int rank_ = 0;
    int size_ = 1;
    // bf16 is two bytes to MPI; these sum, and compare, what the bytes mean.
    MPI_Datatype bf16_type_ = MPI_DATATYPE_NULL;
    MPI_Op bf16_sum_ = MPI_OP_NULL;
    MPI_Op bf16_max_ = MPI_OP_NULL;
    MPI_Op bf16_min_ = MPI_OP_NULL;
};

}  // namespace gpas
