// The same under mpirun with any number of ranks; tests/io/checkpoint/meson.build runs it with 1, 2 and 4.
#include "base/error.hpp"
#include "tests/io/checkpoint/checkpoint_support.hpp"

#include <sys/resource.h>
#include <csignal>

namespace gpas::checkpoint_tests {
namespace {

// A directory that all ranks see, removed by rank 0.
class SharedDirectory {
public:
    explicit SharedDirectory(Communicator& group) : group_(group) {
        std::string name;
        if (group.rank() == 0) {
            own_ = std::make_unique<ScratchDirectory>();
            name = own_->get().string();
        }
        broadcast(group, name, 0, "test directory");
        path_ = name;
    }
    ~SharedDirectory() { group_.barrier("test directory"); }
    const path& get() const { return path_; }

private:
    Communicator& group_;
    std::unique_ptr<ScratchDirectory> own_;
    path path_;
};

// A tensor-parallel shard along `axis`, of which this rank is number `rank` of `size`.
void add_shard(State& state, const Named& tensor, std::size_t axis, int rank, int size) {
    std::vector<std::int64_t> start(tensor.shape.size(), 0), count = tensor.shape;
    start[axis] = tensor.shape[axis] * rank / size;
    count[axis] = tensor.shape[axis] * (rank + 1) / size - start[axis];
    state.add(tensor, start, count);
}

std::vector<Named> big_tensors() {
    return {{"weights/rows", {1500, 1000}},       {"weights/columns", {1100, 1001}}, {"weights/norm", {1000}},
            {"weights/last_stage_only", {10, 3}}, {"adam_m/rows", {1500, 1000}},     {"adam_v/cube", {3, 5, 7}}};
}

// Rows, columns, replicas divided, one rank only, and flat ranges: the ways in which the state of a run is divided among ranks.
State my_state(const Communicator& group, bool with_values) {
    const int rank = group.rank(), size = group.size();
    const auto tensors = big_tensors();
    State state;
    add_shard(state, tensors[0], 0, rank, size);
    add_shard(state, tensors[1], 1, size - 1 - rank, size);
    add_shard(state, tensors[2], 0, rank, size);
    if (rank == size - 1)
        state.add(tensors[3], {0, 0}, {10, 3});
    else
        state.add(tensors[3], {}, {});
    add_shard(state, tensors[4], 1, rank, size);
    const StateTensor cube{tensors[5].name, tensors[5].shape, {0, 0, 0}, tensors[5].shape, nullptr};
    const std::int64_t all = 3 * 5 * 7;
    for (const StateTensor& part : split_range(cube, all * rank / size, all * (rank + 1) / size))
        state.add(tensors[5], part.start, part.count);
    state.fill(with_values);
    return state;
}

TEST(Ranks, SaveAStateThatAnyOtherLayoutReads) {
    const auto group = world();
    SharedDirectory directory(*group);
    const State saved = my_state(*group, true);
    const path file =
        save_checkpoint(*group, directory.get(), sample_header(), saved.parts, {.piece_bytes = 1 << 20, .observe = {}});
    State same = my_state(*group, false);
    EXPECT_EQ(load_checkpoint(*group, file, same.parts), sample_header());
    EXPECT_EQ(same.wrong(), 0);
    State replicas = whole_state(big_tensors(), false);  // every rank reads everything
    load_checkpoint(*group, file, replicas.parts);
    EXPECT_EQ(replicas.wrong(), 0);
    const auto self = make_self_communicator();
    State alone = whole_state(big_tensors(), false);
    load_checkpoint(*self, file, alone.parts);
    EXPECT_EQ(alone.wrong(), 0);
    EXPECT_TRUE(verify(file).intact());
}

TEST(Ranks, WriteTheFileThatOneRankWrites) {
    const auto group = world();
    SharedDirectory directory(*group);
    const path file = save_checkpoint(*group, directory.get() / "all", sample_header(), my_state(*group, true).parts);
    if (group->rank() != 0) return;
    const auto self = make_self_communicator();
    const path one =
        save_checkpoint(*self, directory.get() / "one", sample_header(), whole_state(big_tensors(), true).parts);
    EXPECT_EQ(bytes_of(file), bytes_of(one));
}

TEST(Ranks, AllThrowWhatOneOfThemMet) {
    const auto group = world();
    SharedDirectory directory(*group);
    const State state = my_state(*group, true);
    const path good = save_checkpoint(*group, directory.get(), sample_header(1), state.parts);
    for (int unlucky = 0; unlucky < group->size(); ++unlucky) {
        for (SavePoint where : {SavePoint::creating, SavePoint::writing, SavePoint::checksums}) {
            CheckpointOptions options;
            options.observe = [&](SavePoint point) {
                if (point == where && group->rank() == unlucky) fail(ExitCode::environment, "no luck on {}", unlucky);
            };
            const std::string message = error_of(ExitCode::environment, [&] {
                save_checkpoint(*group, directory.get(), sample_header(2), state.parts, options);
            });
            EXPECT_NE(message.find("no luck on"), std::string::npos);
            group->barrier("test");
            EXPECT_EQ(names_in(directory.get()), std::vector<std::string>{"step_00000001.h5"});
            group->barrier("test");
        }
    }
    EXPECT_EQ(newest_complete(directory.get()), good);
}

TEST(Ranks, SurviveADiskThatIsFullForOneOfThem) {
    const auto group = world();
    SharedDirectory directory(*group);
    const State state = my_state(*group, true);
    CheckpointOptions options;
    rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = signal(SIGXFSZ, SIG_IGN);
    options.observe = [&](SavePoint point) {
        const rlimit limit{1 << 16, before.rlim_max};
        if (point == SavePoint::writing && group->rank() == group->size() - 1) setrlimit(RLIMIT_FSIZE, &limit);
    };
    const std::string message = error_of(ExitCode::environment, [&] {
        save_checkpoint(*group, directory.get(), sample_header(), state.parts, options);
    });
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    EXPECT_NE(message.find("writing weights/"), std::string::npos) << message;
    group->barrier("test");
    EXPECT_TRUE(names_in(directory.get()).empty());
}

TEST(Ranks, RefuseListsThatDiffer) {
    const auto group = world();
    if (group->size() == 1) GTEST_SKIP() << "one rank agrees with itself";
    SharedDirectory directory(*group);
    State state;
    state.add({group->rank() == 0 ? "weights/a" : "weights/b", {3}}, {0}, {3});
    state.fill(true);
    error_of(ExitCode::internal, [&] { save_checkpoint(*group, directory.get(), sample_header(), state.parts); });
    State twice;  // both ranks hold everything
    twice.add({"weights/a", {3}}, {0}, {3});
    twice.fill(true);
    error_of(ExitCode::internal, [&] { save_checkpoint(*group, directory.get(), sample_header(), twice.parts); });
    group->barrier("test");
    EXPECT_TRUE(names_in(directory.get()).empty());
}

TEST(Ranks, AllRefuseAFileThatIsDamagedInOneRanksPart) {
    const auto group = world();
    SharedDirectory directory(*group);
    const path file = save_checkpoint(*group, directory.get(), sample_header(), my_state(*group, true).parts);
    if (group->rank() == 0) {
        auto bytes = bytes_of(file);
        const float needle = value_of("weights/columns", 1001 * 1100 - 1);
        const float before = value_of("weights/columns", 1001 * 1100 - 2);
        char pattern[8];
        std::memcpy(pattern, &before, 4);
        std::memcpy(pattern + 4, &needle, 4);
        const auto at = std::search(bytes.begin(), bytes.end(), pattern, pattern + 8);
        ASSERT_NE(at, bytes.end());
        at[6] ^= 4;
        write_bytes(file, bytes);
    }
    group->barrier("test");
    State state = my_state(*group, false);
    const std::string message = error_of(ExitCode::bad_file, [&] { load_checkpoint(*group, file, state.parts); });
    EXPECT_NE(message.find("weights/columns: data damaged (block"), std::string::npos) << message;
}

}  // namespace
}  // namespace gpas::checkpoint_tests
