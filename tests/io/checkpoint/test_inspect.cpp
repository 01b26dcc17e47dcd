#include "base/error.hpp"
#include "io/checkpoint/inspect.hpp"

#include "tests/io/checkpoint/checkpoint_support.hpp"

namespace gpas::checkpoint_tests {
namespace {

struct Inspect : testing::Test {
    ScratchDirectory scratch;
    std::unique_ptr<Communicator> self = make_self_communicator();
    State state = whole_state({{"weights/w", {2, 2}}, {"weights/layers.0.gpas_gate", {1}}}, false);

    path save(std::int64_t step, std::vector<float> w, float gate) {
        state.memory[0] = std::move(w);
        state.memory[1] = {gate};
        for (std::size_t i = 0; i < 2; ++i) state.parts[i].data = state.memory[i].data();
        return save_checkpoint(*self, scratch.get(), sample_header(step), state.parts);
    }
};

TEST_F(Inspect, ShowsHeaderStatisticsAndGates) {
    const std::string report = inspect_report(save(7, {1, -1, 3, 5}, 1.0f), {.verify = true, .config = true}).text;
    for (const char* part : {"step                   7", "weights                2 tensors, 5 elements", "[2, 2]",
                             "6.0000e+00", "2.000e+00", "-1.000e+00", "5.000e+00", "g +1.000000  silu(g) +0.731059",
                             "verified: 2 tensors, 2 blocks, 20 bytes: intact", "hidden_size: 24"})
        EXPECT_NE(report.find(part), std::string::npos) << part << "\n" << report;
}

TEST_F(Inspect, ComparesTwoCheckpointsTensorByTensor) {
    const path a = save(7, {3, 4, 0, 0}, 0.5f), b = save(8, {3, 4, 0, 1}, 0.5f);
    const std::string report = difference_report(a, b);
    EXPECT_NE(report.find("step                   7 | 8"), std::string::npos) << report;
    EXPECT_NE(report.find("1.0000e+00   2.0000e-01"), std::string::npos) << report;
    EXPECT_NE(report.find("1 tensors differ"), std::string::npos) << report;
    EXPECT_NE(difference_report(a, a).find("0 tensors differ"), std::string::npos);
}

TEST_F(Inspect, ListsDamageAndNoStatisticsOfIt) {
    const path file = save(7, {1, 2, 3, 4}, 0.5f);
    auto bytes = bytes_of(file);
    const float needle[] = {1, 2, 3, 4};
    const auto* begin = reinterpret_cast<const char*>(needle);
    const auto at = std::search(bytes.begin(), bytes.end(), begin, begin + sizeof needle);
    ASSERT_NE(at, bytes.end());
    *at ^= 1;
    write_bytes(file, bytes);
    const InspectReport report = inspect_report(file, {.verify = true});
    EXPECT_TRUE(report.damage.starts_with(file.string() + ": dataset weights/w: block 0"));
    EXPECT_NE(report.text.find("damaged: " + report.damage), std::string::npos);
    error_of(ExitCode::bad_file, [&] { inspect_report(file); });
}

}  // namespace
}  // namespace gpas::checkpoint_tests
