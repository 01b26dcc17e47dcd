// A job in which one rank does not do as the others: how it ends is what test_stuck.py looks at.
#include "base/error.hpp"
#include "parallel/board/last_acts.hpp"
#include "parallel/mpi/mpi_communicator.hpp"
#include "parallel/mpi/mpi_session.hpp"
#include "parallel/watch/watcher.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
    using namespace gpas;
    const std::string kind = argc > 2 ? argv[1] : "";
    MpiSession session(&argc, &argv);
    auto group = session.world();
    group->waits().timeout_seconds = kind == "loses its GPU" ? 30.0 : 1.0;
    group->waits().verify = kind != "sizes, unverified";
    group->waits().directory = argv[2];
    group->progress().set_place(7, 2);
    group->shared().last_acts->add(&session, [&] { std::fprintf(stderr, "LAST ACT of rank %d\n", group->rank()); });
    if (kind == "loses its GPU") session.watcher().connect(*group, 1);
    const bool odd = group->rank() == group->size() - 1;
    std::vector<float> values(1000);
    const Tensor all(values.data(), Dtype::fp32, {odd && kind.starts_with("sizes") ? 900 : 1000});
    try {
        group->barrier("the start");
        if (odd && kind == "returns") return 0;
        if (odd && kind == "exits") std::_Exit(0);
        if (odd && kind == "throws during a receive") {
            const auto never_sent = group->start_receive(all, 0, "activations");
            throw Error(ExitCode::bad_file, "the rank's own error");
        }
        if (odd && kind == "sleeps") std::this_thread::sleep_for(std::chrono::seconds(30));
        if (odd && kind == "loses its GPU")
            mark_gpu_failed(group->board(), "NCCL: unfinished: all_reduce of gradients over data");
        if (odd && kind == "loses its GPU")
            throw Error(ExitCode::environment, "an error that the report of the watcher explains better");
        if (odd && kind == "elsewhere")
            group->barrier("a checkpoint");
        else
            group->all_reduce(all, ReduceOp::sum, "gradients");
        group->barrier("the end");
    } catch (const Error& error) {
        if (kind == "loses its GPU") session.watcher().failed(true);
        std::fprintf(stderr, "REPORT rank %d: %s\n", group->rank(), error.what());
        std::fflush(stderr);
        std::this_thread::sleep_for(std::chrono::milliseconds(1500));  // the others may speak, too
        session.abort(int(error.code()));
    }
    return 0;
}
