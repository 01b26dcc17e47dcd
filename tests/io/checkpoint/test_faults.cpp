// Disks that refuse, at every call of a save in turn.
#include "tests/io/checkpoint/faults.hpp"

#include "tests/io/checkpoint/checkpoint_support.hpp"

#include <cerrno>

namespace gpas::checkpoint_tests {
namespace {

struct Faults : testing::TestWithParam<std::pair<Call, int>> {
    ScratchDirectory scratch;
    const path& directory = scratch.get();
    std::unique_ptr<Communicator> self = make_self_communicator();
    State state = whole_state(sample_tensors(), true);

    path save(std::int64_t step, CheckpointSave::By by = CheckpointSave::By::caller) {
        return CheckpointSave(*self, directory, sample_header(step), state.parts, by).finish();
    }
    void expect_loads(const path& file, std::int64_t step) {
        State loaded = whole_state(sample_tensors(), false);
        EXPECT_EQ(load_checkpoint(*self, file, loaded.parts), sample_header(step));
        EXPECT_EQ(loaded.wrong(), 0);
    }
};

TEST_P(Faults, OfAnyCallLeaveTheLastCheckpointAndTheNextSaveWhole) {
    const auto [call, error] = GetParam();
    const path good = save(1);
    std::int64_t tried = 0;
    for (bool failed = true; failed; ++tried) {
        for (const auto by : {CheckpointSave::By::caller, CheckpointSave::By::thread}) {
            const std::int64_t step = 2 + tried;
            std::string message;
            {
                const FailingCalls faults(call, tried, error);
                try {
                    save(step, by);
                } catch (const Error& caught) {
                    EXPECT_EQ(caught.code(), ExitCode::environment) << caught.what();
                    message = caught.what();
                }
                failed = faults.failed() > 0;
                EXPECT_EQ(failed, !message.empty()) << "call " << tried << " failed, and nobody has said so";
            }
            EXPECT_EQ(message.find('\n'), std::string::npos) << message;
            const path newest = newest_complete(directory).value_or("");
            // What failed after the rename is there, though not promised.
            const bool renamed = newest == directory / checkpoint_file_name(step);
            EXPECT_TRUE(renamed || newest == good) << message;
            expect_loads(newest, renamed ? step : 1);
            for (const std::string& name : names_in(directory)) EXPECT_TRUE(name.starts_with("step_")) << name;
            std::filesystem::remove(directory / checkpoint_file_name(step));
        }
    }
    EXPECT_GE(tried, call == Call::rename ? 2 : call == Call::fsync ? 4 : 20);
    expect_loads(save(1000), 1000);
}

using Failure = std::pair<Call, int>;
INSTANTIATE_TEST_SUITE_P(Calls, Faults,
                         testing::Values(Failure(Call::write, ENOSPC), Failure(Call::write, EIO),
                                         Failure(Call::fsync, EIO), Failure(Call::rename, EACCES)));

}  // namespace
}  // namespace gpas::checkpoint_tests
