// Run under mpirun: two ranks of data parallelism train as one rank does, up to the order of sums.
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

#include "parallel/mpi/mpi_communicator.hpp"

namespace gpas {
namespace {

using namespace tiny_run;

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
    double largest = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
    return largest;
}

TEST(DataParallel, two_ranks_train_as_one_does) {
    auto world = MpiCommunicator(MPI_COMM_WORLD).duplicate();
    const int rank = world->rank();
    std::string shared;
    std::unique_ptr<Directory> directory;
    if (rank == 0) {
        directory = std::make_unique<Directory>();
        shared = *directory / "";
        write_tokens(shared + "tokens");
    }
    broadcast(*world, shared, 0, "the directory");
    const std::vector<std::string> fifty{"training.steps=50"};
    const auto config = [&](const std::string& name, const std::vector<std::string>& more) {
        std::vector<std::string> changes = fifty;
        changes.insert(changes.end(), more.begin(), more.end());
        return tiny_config(shared + "tokens", shared + name, changes);
    };
    train(config("ranks", {}), world->duplicate(), 1);
    // Stopped on two ranks, and resumed by one alone below.
    train(config("moved", {"training.stop_after=25"}), world->duplicate(), 1);
    if (rank == 0) {
        train(config("one", {}), make_self_communicator(), 1);
        train(config("micro2", {"training.micro_batch_size=2"}), make_self_communicator(), 1);
        train(config("micro8", {"training.micro_batch_size=8"}), make_self_communicator(), 1);
        train(config("moved", {}), make_self_communicator(), 1);
        const std::vector<double> one = losses(shared + "one");
        ASSERT_EQ(one.size(), 50U);
        // What other orders of the same sums do to the curve of one rank is what ranks may do.
        const double spread = std::max(largest_difference(losses(shared + "micro2"), one),
                                       largest_difference(losses(shared + "micro8"), one));
        EXPECT_LT(spread, 1e-3);  // or it would bound nothing
        EXPECT_LE(largest_difference(losses(shared + "ranks"), one), 4.0 * spread);
        EXPECT_LE(largest_difference(losses(shared + "moved"), one), 4.0 * spread);
        EXPECT_NEAR(losses(shared + "ranks").front(), one.front(), 1e-6 * one.front());
    }
    world->barrier("the end of the test");
}

}  // namespace
}  // namespace gpas
