#include "base/error.hpp"
#include "tests/io/checkpoint/checkpoint_support.hpp"

#include <cmath>
#include <limits>

namespace gpas::checkpoint_tests {
namespace {

TEST(Checkpoint, ReturnsEveryBitAndTheWholeHeader) {
    ScratchDirectory scratch;
    const auto self = make_self_communicator();
    State saved = whole_state(sample_tensors(), true);
    saved.memory[0][0] = std::numeric_limits<float>::quiet_NaN();
    saved.memory[0][1] = -0.0f;
    saved.memory[0][2] = std::numeric_limits<float>::denorm_min();
    const CheckpointHeader header = sample_header();
    const path file = save_checkpoint(*self, scratch.get() / "deep" / "er", header, saved.parts);
    EXPECT_EQ(file.filename(), "step_00000100.h5");
    State loaded = whole_state(sample_tensors(), false);
    EXPECT_EQ(load_checkpoint(*self, file, loaded.parts), header);
    for (std::size_t i = 0; i < saved.memory.size(); ++i)
        EXPECT_EQ(0, std::memcmp(saved.memory[i].data(), loaded.memory[i].data(), 4 * saved.memory[i].size()));
    EXPECT_EQ(read_header(file), header);
    EXPECT_TRUE(verify(file).intact());
    EXPECT_EQ(names_in(file.parent_path()), std::vector<std::string>{"step_00000100.h5"});
}

TEST(Checkpoint, OfSeveralBlocksAndSmallPiecesReturnsEveryBit) {
    ScratchDirectory scratch;
    const auto self = make_self_communicator();
    const std::vector<Named> tensors{{"weights/wide", {3, 1000001}}, {"weights/long", {2000, 700}}};
    const State saved = whole_state(tensors, true);
    const path file =
        save_checkpoint(*self, scratch.get(), sample_header(), saved.parts, {.piece_bytes = 100000, .observe = {}});
    for (std::int64_t piece : {std::int64_t(4096), std::int64_t(1) << 28}) {
        State loaded = whole_state(tensors, false);
        load_checkpoint(*self, file, loaded.parts, {.piece_bytes = piece, .observe = {}});
        EXPECT_EQ(loaded.wrong(), 0);
    }
    const VerifyReport report = verify(file);
    EXPECT_TRUE(report.intact());
    EXPECT_EQ(report.blocks, 3 + 2);
}

TEST(Checkpoint, OfTheSameStateHasTheSameBytes) {
    ScratchDirectory scratch;
    const auto self = make_self_communicator();
    const State state = whole_state(sample_tensors(), true);
    const path a = save_checkpoint(*self, scratch.get() / "a", sample_header(), state.parts);
    const path b = save_checkpoint(*self, scratch.get() / "b", sample_header(), state.parts);
    EXPECT_EQ(bytes_of(a), bytes_of(b));
}

TEST(Checkpoint, GivesWeightsWithoutTheMomentsToWhoAsksForWeightsOnly) {
    ScratchDirectory scratch;
    const auto self = make_self_communicator();
    const path file = save_checkpoint(*self, scratch.get(), sample_header(), whole_state(sample_tensors(), true).parts);
    std::vector<Named> weights;
    for (const Named& tensor : sample_tensors())
        if (tensor.name.starts_with("weights/")) weights.push_back(tensor);
    State loaded = whole_state(weights, false);
    load_checkpoint(*self, file, loaded.parts);
    EXPECT_EQ(loaded.wrong(), 0);
}

TEST(Checkpoint, TakesAConfigurationOfAMegabyte) {
    ScratchDirectory scratch;
    const auto self = make_self_communicator();
    CheckpointHeader header = sample_header();
    header.config = std::string(1 << 20, 'x') + "\n";
    const State state = whole_state({{"weights/x", {3}}}, true);
    EXPECT_EQ(read_header(save_checkpoint(*self, scratch.get(), header, state.parts)), header);
}

TEST(Checkpoint, RefusesAStateThatIsNotTheModels) {
    ScratchDirectory scratch;
    const auto self = make_self_communicator();
    const path file = save_checkpoint(*self, scratch.get(), sample_header(), whole_state(sample_tensors(), true).parts);
    auto tensors = sample_tensors();
    tensors[0].shape = {24, 37};
    tensors[1].name = "weights/model.layers.1.gpas_gate";
    State other = whole_state(tensors, false);
    const std::string message = error_of(ExitCode::bad_file, [&] { load_checkpoint(*self, file, other.parts); });
    for (const char* part :
         {"weights/model.embed_tokens.weight is [37, 24], the model has [24, 37]",
          "weights/model.layers.1.gpas_gate is missing", "weights/model.layers.0.gpas_gate is not in the model"})
        EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(Checkpoint, RefusesAListOfTensorsThatMakesNoSense) {
    ScratchDirectory scratch;
    const auto self = make_self_communicator();
    const auto refused = [&](const StateTensor& part) {
        error_of(ExitCode::internal, [&] { save_checkpoint(*self, scratch.get(), sample_header(), {{part}}); });
        EXPECT_TRUE(names_in(scratch.get()).empty());
    };
    float data[6] = {};
    refused({"weights/a", {2, 3}, {0, 0}, {1, 3}, data});  // row 1 is nobody's
    refused({"weights/a", {2, 3}, {1, 0}, {2, 3}, data});  // beyond the end
    refused({"weights/a/b", {6}, {0}, {6}, data});
    refused({"gradients/a", {6}, {0}, {6}, data});
    refused({"weights/", {6}, {0}, {6}, data});
    refused({"weights/a", {0}, {0}, {0}, data});
    refused({"weights/a", {6}, {0}, {6}, nullptr});
    const std::vector<StateTensor> twice{{"weights/a", {6}, {0}, {6}, data}, {"weights/a", {6}, {0}, {1}, data}};
    error_of(ExitCode::internal, [&] { save_checkpoint(*self, scratch.get(), sample_header(), twice); });
}

bool run(const std::string& command) { return std::system((command + " > /dev/null 2>&1").c_str()) == 0; }

TEST(Checkpoint, IsReadByH5dumpAndByH5py) {
    ScratchDirectory scratch;
    const auto self = make_self_communicator();
    const State state = whole_state({{"weights/model.norm.weight", {2, 3}}}, true);
    const path file = save_checkpoint(*self, scratch.get(), sample_header(), state.parts);
    if (run("h5dump --version")) {
        EXPECT_TRUE(run("h5dump " + file.string()));
    } else {
        std::printf("h5dump is not installed: not checked\n");
    }
    if (!run("/usr/bin/python3 -c 'import h5py'")) GTEST_SKIP() << "h5py is not installed";
    const path script = scratch.get() / "read.py";
    std::ofstream(script)
        << "import h5py, sys, struct\n"
           "f = h5py.File(sys.argv[1], 'r')\n"
           "assert f.attrs['format'] == b'gpas checkpoint' and f.attrs['step'] == 100\n"
           "assert f.attrs['config'].decode('utf-8').startswith('model:')\n"
           "w = f['weights/model.norm.weight'][()]\n"
           "assert w.shape == (2, 3) and w.dtype == '<f4'\n"
           "M = (1 << 64) - 1\n"
           "def mix(z):\n"
           "    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9 & M\n"
           "    z = (z ^ (z >> 27)) * 0x94d049bb133111eb & M\n"
           "    return z ^ (z >> 31)\n"
           "bits = struct.unpack('<6I', w.tobytes())\n"
           "assert sum(mix(i << 32 | b) for i, b in enumerate(bits)) & M == f['checksums/blocks'][0]\n";
    EXPECT_EQ(std::system(("/usr/bin/python3 " + script.string() + " " + file.string()).c_str()), 0);
}

}  // namespace
}  // namespace gpas::checkpoint_tests
