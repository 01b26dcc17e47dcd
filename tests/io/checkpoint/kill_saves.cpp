// Under mpirun, for test_kills.py: saves one checkpoint after another until somebody kills it. Or, alone with `check`:
// looks at what is left.
#include "io/checkpoint/background_verify.hpp"
#include "io/checkpoint/retention.hpp"
#include "parallel/mpi/mpi_session.hpp"
#include "tests/io/checkpoint/checkpoint_support.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace gpas::checkpoint_tests {
namespace {

// Some split along rows, some along columns; a few megabytes.
const std::vector<Named>& big_tensors() {
    static const std::vector<Named> tensors{{"weights/rows", {300, 1000}}, {"weights/columns", {700, 410}},
                                            {"adam_m/rows", {300, 1000}},  {"adam_m/columns", {700, 410}},
                                            {"adam_v/rows", {300, 1000}},  {"adam_v/columns", {700, 410}}};
    return tensors;
}

State my_state(const Communicator& group) {
    State state;
    for (const Named& tensor : big_tensors()) {
        const std::size_t axis = tensor.name.ends_with("columns") ? 1 : 0;
        std::vector<std::int64_t> start{0, 0}, count = tensor.shape;
        start[axis] = tensor.shape[axis] * group.rank() / group.size();
        count[axis] = tensor.shape[axis] * (group.rank() + 1) / group.size() - start[axis];
        state.add(tensor, start, count);
    }
    return state;
}

// What the state is at a step.
void set_step(State& state, std::int64_t step) {
    state.fill(true);
    for (auto& values : state.memory)
        for (float& value : values) value += float(step);
}

int run(const path& directory) {
    const auto group = world();
    group->waits().timeout_seconds = 30;
    std::ofstream(directory / fmt::format("pid_{}", group->rank())) << ::getpid();
    State state = my_state(*group);
    BackgroundVerify verify;
    Retention retention(directory, 2, 0, [&](const path& file) { return verify.ask(file); });
    std::int64_t step = 0;
    if (const auto newest = newest_complete(directory)) step = *checkpoint_step(*newest);
    for (;;) {
        group->broadcast(&step, sizeof step, 0, "test");
        set_step(state, ++step);
        CheckpointSave save(*group, directory, sample_header(step), state.parts,
                            step % 2 ? CheckpointSave::By::thread : CheckpointSave::By::caller);
        save.finish();
        if (group->rank() == 0) {
            std::printf("saved %lld\n", static_cast<long long>(step));
            std::fflush(stdout);
            retention.wrote(step);
            retention.apply();
        }
    }
}

// Prints the newest step. 1: something is there that should not be.
int check(const path& directory) {
    const auto self = make_self_communicator();
    for (const std::string& name : names_in(directory)) {
        if (!name.starts_with("step_")) continue;
        const VerifyReport report = verify(directory / name);
        if (report.intact()) continue;
        std::printf("%s\n", report.problems.front().c_str());
        return 1;
    }
    const auto newest = newest_complete(directory);
    if (!newest) {
        std::printf("newest 0\n");
        return 0;
    }
    State expected = whole_state(big_tensors(), true), found = whole_state(big_tensors(), false);
    const std::int64_t step = *checkpoint_step(*newest);
    set_step(expected, step);
    if (load_checkpoint(*self, *newest, found.parts) != sample_header(step) || found.memory != expected.memory) {
        std::printf("%s: is not the state of its step\n", newest->c_str());
        return 1;
    }
    std::printf("newest %lld\n", static_cast<long long>(step));
    return 0;
}

}  // namespace
}  // namespace gpas::checkpoint_tests

int main(int argc, char** argv) {
    using namespace gpas;
    const std::filesystem::path directory = argv[1];
    if (argc > 2) return checkpoint_tests::check(directory);
    MpiSession mpi(&argc, &argv);
    try {
        return checkpoint_tests::run(directory);
    } catch (const std::exception& error) {
        std::printf("%s\n", error.what());
        std::fflush(stdout);
        mpi.abort(3);
    }
}
