// Saves that a background thread writes.
#include "tests/io/checkpoint/checkpoint_support.hpp"

#include <chrono>
#include <thread>

namespace gpas::checkpoint_tests {
namespace {

struct Background : testing::Test {
    ScratchDirectory scratch;
    const path& directory = scratch.get();
    std::unique_ptr<Communicator> self = make_self_communicator();
    State state = whole_state(sample_tensors(), true);
    using By = CheckpointSave::By;
};

TEST_F(Background, WritesTheBytesThatTheCallerWrites) {
    const path one = save_checkpoint(*self, directory / "one", sample_header(), state.parts);
    CheckpointSave save(*self, directory / "two", sample_header(), state.parts, By::thread);
    EXPECT_FALSE(std::filesystem::exists(directory / "two" / checkpoint_file_name(100)));
    while (!save.written()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(newest_complete(directory / "two"), std::nullopt);  // not before all ranks agree
    EXPECT_EQ(bytes_of(save.finish()), bytes_of(one));
}

TEST_F(Background, LeavesNothingWhenGivenUp) {
    for (const auto by : {By::thread, By::caller}) {
        const CheckpointSave save(*self, directory, sample_header(), state.parts, by);
    }
    EXPECT_TRUE(names_in(directory).empty());
}

TEST_F(Background, TellsOfItsFailureAtTheEnd) {
    CheckpointOptions options;
    options.observe = [](SavePoint point) {
        if (point == SavePoint::writing) fail(ExitCode::environment, "out of luck");
    };
    CheckpointSave save(*self, directory, sample_header(), state.parts, By::thread, options);
    EXPECT_NE(error_of(ExitCode::environment, [&] { save.finish(); }).find("out of luck"), std::string::npos);
}

TEST_F(Background, GoesOnBesideSavesOfTheCaller) {
    CheckpointSave slow(*self, directory, sample_header(7), state.parts, By::thread);
    save_checkpoint(*self, scratch.get() / "other", sample_header(8), state.parts);
    EXPECT_EQ(slow.finish(), directory / checkpoint_file_name(7));
    EXPECT_TRUE(verify(directory / checkpoint_file_name(7)).intact());
}

TEST(Ranks, InTheBackgroundAllThrowWhatOneOfThemMet) {
    const auto group = world();
    const ScratchDirectory scratch;  // of rank 0
    std::string name = scratch.get().string();
    broadcast(*group, name, 0, "test");
    State state = whole_state(sample_tensors(), true);
    std::vector<StateTensor> parts;
    for (const StateTensor& whole : state.parts) {
        const std::int64_t n = element_count(whole.count);
        const auto mine =
            split_range(whole, n * group->rank() / group->size(), n * (group->rank() + 1) / group->size());
        parts.insert(parts.end(), mine.begin(), mine.end());
    }
    for (int unlucky = 0; unlucky < group->size(); ++unlucky) {
        CheckpointOptions options;
        options.observe = [&](SavePoint point) {
            if (point == SavePoint::writing && group->rank() == unlucky)
                fail(ExitCode::environment, "no luck on {}", unlucky);
        };
        {
            CheckpointSave save(*group, name, sample_header(), parts, CheckpointSave::By::thread, options);
            error_of(ExitCode::environment, [&] { save.finish(); });
        }
        group->barrier("test");
        EXPECT_TRUE(names_in(name).empty());
        group->barrier("test");
    }
    CheckpointSave save(*group, name, sample_header(), parts, CheckpointSave::By::thread);
    EXPECT_TRUE(verify(save.finish()).intact());
    group->barrier("test");
}

}  // namespace
}  // namespace gpas::checkpoint_tests
