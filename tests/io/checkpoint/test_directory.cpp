// Checkpoints over time: writers that die, disks that refuse, old ones that go.
#include "base/error.hpp"
#include "io/checkpoint/contents.hpp"
#include "io/checkpoint/retention.hpp"
#include "tests/io/checkpoint/checkpoint_support.hpp"

#include "base/durable.hpp"

#include <csignal>

#include <sys/resource.h>
#include <sys/wait.h>

namespace gpas::checkpoint_tests {
namespace {

struct Directory : testing::Test {
    ScratchDirectory scratch;
    const path& directory = scratch.get();
    std::unique_ptr<Communicator> self = make_self_communicator();
    State state = whole_state(sample_tensors(), true);

    path save(std::int64_t step) { return save_checkpoint(*self, directory, sample_header(step), state.parts); }
    // Saves in a child process that calls `at` at each point; returns its wait status.
    template <class At>
    int save_in_child(std::int64_t step, At&& at) {
        const pid_t child = fork();
        if (child == 0) {
            try {
                save_checkpoint(*self, directory, sample_header(step), state.parts, {.observe = at});
            } catch (const std::exception&) {
                _exit(9);
            }
            _exit(0);
        }
        int status = 0;
        waitpid(child, &status, 0);
        return status;
    }
};

// Verifies at once.
Retention retention(const path& directory, std::int64_t keep_last, std::int64_t keep_every = 0) {
    return Retention(directory, keep_last, keep_every, [](const path& file) -> std::optional<std::string> {
        const VerifyReport report = verify(file);
        return report.intact() ? "" : report.problems.front();
    });
}

TEST_F(Directory, HasNoCheckpointWhenEmptyOrMissing) {
    EXPECT_EQ(newest_complete(directory), std::nullopt);
    EXPECT_EQ(newest_complete(directory / "missing"), std::nullopt);
    EXPECT_TRUE(retention(directory / "missing", 3).apply().empty());
}

TEST_F(Directory, GivesTheHighestStepAndNotTheLatestFile) {
    const path newest = save(1000);
    save(999);
    write_bytes(directory / "step_00002000.h5.partial", {});
    write_bytes(directory / "step_x.h5", {});
    EXPECT_EQ(newest_complete(directory), newest);
}

TEST_F(Directory, PassesOverFilesThatAreDamagedOrMisnamedAndSaysSo) {
    const path good = save(10);
    auto bytes = bytes_of(good);
    write_bytes(directory / "step_00000030.h5", bytes);  // a copy under another step's name
    bytes.resize(bytes.size() / 2);
    write_bytes(directory / "step_00000020.h5", bytes);
    std::vector<std::string> passed_over;
    EXPECT_EQ(newest_complete(directory, &passed_over), good);
    ASSERT_EQ(passed_over.size(), 2u);
    EXPECT_NE(passed_over[0].find("holds step 10"), std::string::npos);
    EXPECT_NE(passed_over[1].find("step_00000020.h5"), std::string::npos);
}

TEST_F(Directory, KeepsTheNewestCompleteOnes) {
    for (std::int64_t step : {1, 2, 3, 4, 5}) save(step);
    auto bytes = bytes_of(directory / "step_00000005.h5");
    bytes.resize(1000);
    write_bytes(directory / "step_00000005.h5", bytes);  // damaged: not one of those kept, and not removed
    EXPECT_TRUE(retention(directory, 0).apply().empty());
    EXPECT_EQ(names_in(directory).size(), 5u);
    const auto notes = retention(directory, 2).apply();
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_NE(notes[0].find("step_00000005.h5"), std::string::npos) << notes[0];
    EXPECT_EQ(names_in(directory),
              (std::vector<std::string>{"step_00000003.h5", "step_00000004.h5", "step_00000005.h5"}));
    retention(directory, 2).apply();
    EXPECT_EQ(names_in(directory).size(), 3u);
}

TEST_F(Directory, ThatCannotBeReadIsReportedByKeepLastAndThrowsNothing) {
    write_bytes(directory / "file", {});
    const auto problems = retention(directory / "file", 1).apply();
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_NE(problems[0].find((directory / "file").string()), std::string::npos);
}

TEST_F(Directory, ThatLosesTheNewestWhileItIsReadGivesTheNextNewest) {
    save(10);
    // As a run at work does: it saves step 20 and removes step 10 after a reader has listed the directory.
    const auto check = [&](const path& file, std::int64_t step) {
        if (step == 10) {
            save(20);
            std::filesystem::remove(file);
        }
        return why_incomplete(file, step);
    };
    std::vector<std::string> passed_over;
    EXPECT_EQ(newest_complete(directory, &passed_over, std::numeric_limits<std::int64_t>::max(), check),
              directory / "step_00000020.h5");
    EXPECT_TRUE(passed_over.empty());
}

TEST_F(Directory, TellsAReaderThatItsFileHasGone) {
    const path file = save(10);
    const auto reader = [&] {
        while_there(file, [&] {
            std::filesystem::remove(file);
            return std::filesystem::file_size(file);  // throws what is not meant for people
        });
    };
    EXPECT_NE(error_of(ExitCode::bad_file, reader).find("was removed while it was read"), std::string::npos);
    EXPECT_NE(error_of(ExitCode::bad_file, [&] { read_header(file); }).find("checkpoint.keep_last"), std::string::npos);
    // Of a file that is there, the reader's own error counts.
    save(10);
    EXPECT_EQ(error_of(ExitCode::bad_file, [&] { while_there(file, [] { fail(ExitCode::bad_file, "mine"); }); }),
              "mine");
}

TEST_F(Directory, SetsAsideWhatARunLeaves) {
    for (const std::int64_t step : {5, 10, 15}) save(step);
    std::filesystem::rename(directory / "step_00000015.h5", directory / "elsewhere.h5");
    std::filesystem::create_symlink("elsewhere.h5", directory / "step_00000015.h5");
    const BranchRecord record{.config = "name: x\n", .base = "/a/step_00000005.h5"};
    const auto aside = begin_branch(directory, 5, "a reason", record);
    ASSERT_EQ(aside, directory / "set_aside_1_step_10_to_15");
    EXPECT_EQ(current_steps(directory), std::vector<std::int64_t>{5});
    EXPECT_EQ(read_branch(directory), record);
    const auto listed = list_set_aside(directory);
    ASSERT_EQ(listed.size(), 1u);
    EXPECT_EQ(listed[0].steps, (std::vector<std::int64_t>{10, 15}));
    EXPECT_EQ(listed[0].why, "a reason");
    EXPECT_EQ(read_header(*aside / "step_00000015.h5").step, 15);  // a link still leads to its file
    EXPECT_EQ(moved_to(directory / "step_00000010.h5"), *aside / "step_00000010.h5");
    EXPECT_NE(error_of(ExitCode::bad_file, [&] { read_header(directory / "step_00000010.h5"); }).find(aside->string()),
              std::string::npos);
    EXPECT_EQ(begin_branch(directory, 5, "nothing to do"), std::nullopt);
    save(10);
    set_aside_step(directory, 10);
    EXPECT_EQ(list_set_aside(directory).back().directory, directory / "set_aside_2_step_10_to_10");
    write_bytes(directory / "branch.json", {'{'});
    EXPECT_NE(error_of(ExitCode::bad_file, [&] { read_branch(directory); }).find("branch.json"), std::string::npos);
}

TEST_F(Directory, OfAWriterKilledAtAnyPointHoldsTheLastGoodCheckpoint) {
    const path good = save(1);
    std::int64_t step = 2;
    for (SavePoint last :
         {SavePoint::creating, SavePoint::writing, SavePoint::checksums, SavePoint::marker, SavePoint::renaming}) {
        const int status = save_in_child(step++, [&](SavePoint point) {
            if (point == last) raise(SIGKILL);
        });
        ASSERT_TRUE(WIFSIGNALED(status));
        EXPECT_EQ(newest_complete(directory), good);
        retention(directory, 1).apply();
        EXPECT_EQ(newest_complete(directory), good);
    }
    const int status = save_in_child(step, [&](SavePoint point) {
        if (point == SavePoint::done) raise(SIGKILL);
    });
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(newest_complete(directory), directory / checkpoint_file_name(step));
    // The next save clears away what the killed ones left.
    save(step + 1);
    for (const std::string& name : names_in(directory)) EXPECT_TRUE(name.starts_with("step_")) << name;
}

TEST_F(Directory, IsUntouchedByASaveThatFailsAtAnyPoint) {
    const path good = save(1);
    for (SavePoint last :
         {SavePoint::creating, SavePoint::writing, SavePoint::checksums, SavePoint::marker, SavePoint::renaming}) {
        CheckpointOptions options;
        options.observe = [&](SavePoint point) {
            if (point == last) fail(ExitCode::environment, "out of luck");
        };
        error_of(ExitCode::environment,
                 [&] { save_checkpoint(*self, directory, sample_header(2), state.parts, options); });
        EXPECT_EQ(names_in(directory), std::vector<std::string>{"step_00000001.h5"});
    }
    EXPECT_EQ(newest_complete(directory), good);
}

TEST_F(Directory, KeepsTheStepsThatAreKeptForGood) {
    for (const std::int64_t step : {10, 15, 20, 25, 30, 35}) save(step);
    EXPECT_TRUE(retention(directory, 1, 20).apply().empty());
    EXPECT_EQ(names_in(directory), (std::vector<std::string>{"step_00000020.h5", "step_00000035.h5"}));
    EXPECT_EQ(newest_complete(directory, nullptr, 35), directory / "step_00000020.h5");
    EXPECT_EQ(newest_complete(directory, nullptr, 20), std::nullopt);
}

TEST_F(Directory, OfFullDiskKeepsItsLastCheckpoint) {
    const path good = save(1);
    // A limit on the size of files stands for a disk that is full.
    const int status = save_in_child(2, [](SavePoint point) {
        if (point != SavePoint::writing) return;
        signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{8192, 8192};
        setrlimit(RLIMIT_FSIZE, &limit);
    });
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 9);
    EXPECT_EQ(names_in(directory), std::vector<std::string>{"step_00000001.h5"});
    EXPECT_EQ(newest_complete(directory), good);
}

TEST_F(Directory, WithoutRoomIsRefusedBeforeAnythingIsWritten) {
    const std::string message =
        error_of(ExitCode::environment, [&] { check_free_space(directory, std::int64_t(1) << 60, "the checkpoint"); });
    EXPECT_NE(message.find(" free, but the checkpoint needs "), std::string::npos);
}

TEST_F(Directory, ThatCannotBeWrittenIsReportedByName) {
    write_bytes(directory / "file", {});
    const auto refused = [&](const path& where) {
        const std::string message =
            error_of(ExitCode::environment, [&] { save_checkpoint(*self, where, sample_header(), state.parts); });
        EXPECT_NE(message.find(where.string()), std::string::npos) << message;
    };
    refused(directory / "file");
    refused("/proc/gpas");
    if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere: the read-only directory is not checked";
    std::filesystem::permissions(directory, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    refused(directory);
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all);
}

}  // namespace
}  // namespace gpas::checkpoint_tests
