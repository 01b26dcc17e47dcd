#include "parallel/mpi/mpi_session.hpp"

#include "base/error.hpp"
#include "parallel/board/rehearsal.hpp"
#include "parallel/mpi/mpi_communicator.hpp"
#include "parallel/mpi/mpi_handle.hpp"
#include "parallel/watch/watcher.hpp"

#include <cstdlib>

namespace gpas {
namespace {

void check_launch(const Launch& launch, int mpi_size) {
    const std::string mismatch = launch_mismatch(launch, mpi_size);
    if (!mismatch.empty()) fail(ExitCode::environment, "{}", mismatch);
}

}  // namespace

MpiSession::MpiSession(int* argc, char*** argv) : MpiSession(argc, argv, WatchSettings{}) {}

MpiSession::MpiSession(int* argc, char*** argv, const WatchSettings& watch)
    : watcher_(std::make_unique<Watcher>(launch_of_environment(), watch)) {
    watcher_->read_settings();
    rehearsal_ = Rehearsal::of_environment(watcher_->launch().attempt);
    if (rehearsal_) rehearsal_->at(watcher_->board());
    check_launch(watcher_->launch(), 0);
    int provided = 0;
    watcher_->begin_mpi();
    check_mpi(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread", "the process");
    if (provided < MPI_THREAD_FUNNELED)
        fail(ExitCode::environment,
             "this MPI library does not allow threads besides the one that calls MPI (MPI_THREAD_FUNNELED)");
    check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank", "the process");
    MPI_Comm node = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node), "MPI_Comm_split_type",
              "the node");
    check_mpi(MPI_Comm_rank(node, &local_rank_), "MPI_Comm_rank", "the node");
    check_mpi(MPI_Comm_size(node, &local_size_), "MPI_Comm_size", "the node");
    MPI_Comm_free(&node);
    int size = 1;
    check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size", "the process");
    watcher_->joined(rank_, size, local_size_);
    try {
        check_launch(watcher_->launch(), size);
    } catch (const Error&) {
        watcher_->finished();
        MPI_Finalize();
        throw;
    }
}

MpiSession::~MpiSession() {
    watcher_->finished();
    MPI_Finalize();
}

std::unique_ptr<Communicator> MpiSession::world() const {
    // A duplicate, so that other libraries' messages on MPI_COMM_WORLD never match ours.
    std::unique_ptr<Communicator> world = MpiCommunicator(MPI_COMM_WORLD, watcher_->board()).duplicate();
    world->progress().set_rehearsal(rehearsal_);
    world->shared().last_acts = watcher_->last_acts();
    return world;
}

void MpiSession::abort(int exit_code) const {
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::abort();  // MPI_Abort does not return; the compiler does not know
}

}  // namespace gpas
