// The group of one rank. It sends nothing, and copies only if input and output are different memory.
#include "base/error.hpp"
#include "parallel/communicator.hpp"

namespace gpas {
namespace {

void copy_unless_same(Tensor to, Tensor from, const char* call, const char* what) {
    require(to.dtype == from.dtype && to.elements() == from.elements(), "{} of {}: {} and {} in a group of one", call,
            what, to.describe(), from.describe());
    if (to.data != from.data) std::memcpy(to.data, from.data, std::size_t(to.bytes()));
}

class Finished final : public Transfer {
public:
    void wait() override {}
    bool finished() override { return true; }
};

class SelfCommunicator final : public Communicator {
public:
    int rank() const override { return 0; }
    int size() const override { return 1; }
    RankShared& shared() override { return shared_; }
    void all_reduce(Tensor, ReduceOp, const char*) override {}
    void all_reduce(double*, std::int64_t, ReduceOp, const char*) override {}
    void all_reduce(std::int64_t*, std::int64_t, ReduceOp, const char*) override {}
    void reduce_scatter(Tensor part, Tensor whole, const char* what) override {
        copy_unless_same(part, whole, "reduce_scatter", what);
    }
    void all_gather(Tensor whole, Tensor part, const char* what) override {
        copy_unless_same(whole, part, "all_gather", what);
    }
    void broadcast(void*, std::int64_t, int, const char*) override {}
    void barrier(const char*) override {}
    std::unique_ptr<Transfer> start_send(Tensor, int, const char* what) override {
        fail(ExitCode::internal, "send of {} in a group of one", what);
    }
    std::unique_ptr<Transfer> start_receive(Tensor, int, const char* what) override {
        fail(ExitCode::internal, "receive of {} in a group of one", what);
    }
    std::unique_ptr<Transfer> start_all_reduce(Tensor, ReduceOp, const char*) override {
        return std::make_unique<Finished>();
    }
    std::unique_ptr<Transfer> start_reduce_scatter(Tensor part, Tensor whole, const char* what) override {
        reduce_scatter(part, whole, what);
        return std::make_unique<Finished>();
    }
    std::unique_ptr<Transfer> start_all_gather(Tensor whole, Tensor part, const char* what) override {
        all_gather(whole, part, what);
        return std::make_unique<Finished>();
    }
    std::unique_ptr<Communicator> split(int, int, const char*) override { return make_self_communicator(); }
    std::unique_ptr<Communicator> duplicate() override { return make_self_communicator(); }

private:
    RankShared shared_;
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() { return std::make_unique<SelfCommunicator>(); }

}  // namespace gpas
