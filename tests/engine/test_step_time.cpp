// The predicted time of a step against every step that docs/results records, and how it moves with what it depends on.
#include "base/error.hpp"
#include "bench/measured_steps.hpp"
#include "engine/plan/layout_search.hpp"
#include "engine/plan/step_cost.hpp"
#include "engine/plan/step_time.hpp"
#include "tests/support/models.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <set>

namespace gpas {
namespace {

const std::string configs = GPAS_SOURCE_ROOT "/configs/";
using Settings = std::vector<std::string>;

TEST(StepTime, is_within_15_percent_of_every_measured_step) {
    for (const bench::MeasuredStep& step : bench::measured_steps()) {
        const bench::PredictedStep predicted = bench::predict(step, configs);
        EXPECT_GT(predicted.ratio, 0.85) << step.page << ": " << step.what;
        EXPECT_LT(predicted.ratio, 1.15) << step.page << ": " << step.what;
    }
}

TEST(StepTime, is_what_the_page_of_results_says) {
    std::ifstream file(GPAS_SOURCE_ROOT "/docs/results/plan.md");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    for (const bench::MeasuredStep& step : bench::measured_steps()) {
        const std::string begin = fmt::format("| {} | {} | {} x", step.page, step.what, step.ranks);
        const std::string ratio = fmt::format(" | {:.2f} | ", bench::predict(step, configs).ratio);
        const auto is_it = [&](const std::string& line) {
            return line.starts_with(begin) && line.find(ratio) != std::string::npos;
        };
        EXPECT_EQ(std::count_if(lines.begin(), lines.end(), is_it), 1)
            << begin << ratio << ": write docs/results/plan.md again";
    }
}

LoadedConfig billion(Settings more) { return load_config({configs + "1b.yaml"}, more); }

StepTime on_h200(const LoadedConfig& config, std::int64_t ranks, LinkKind network = LinkKind::infiniband400) {
    const DeviceSpeed speed = speed_of_gpu(*figures_named("h200"), config.values.compute.dtype, network);
    return predict_step(config, plan_run(config, ranks, 1, Device::cuda), speed);
}

TEST(StepTime, falls_with_the_size_of_a_micro_batch) {
    // Fewer micro-batches read weights, and write fp32 gradients of weights, less often a token.
    double before = 1e9;
    for (const int micro : {1, 2, 4, 8, 16, 32}) {
        const double now = on_h200(billion({"training.micro_batch_size=" + std::to_string(micro)}), 1).total();
        EXPECT_LT(now, 0.995 * before) << micro;
        before = now;
    }
}

TEST(StepTime, hides_gradients_and_weights_behind_passes_only_in_buckets) {
    const StepTime buckets = on_h200(billion({}), 8), whole = on_h200(billion({"parallel.bucket_mib=0"}), 8);
    EXPECT_GT(buckets.data, 0.0);  // the last bucket of gradients, the first of weights
    EXPECT_LT(buckets.data, 0.2 * whole.data);
    EXPECT_DOUBLE_EQ(buckets.compute, whole.compute);
    EXPECT_EQ(on_h200(billion({}), 1).data, 0.0);
}

TEST(StepTime, takes_the_network_for_what_leaves_a_node) {
    const LoadedConfig config = billion({"training.micro_batch_size=4", "parallel.tensor=8"});
    EXPECT_GT(on_h200(config, 64, LinkKind::infiniband200).data, 1.5 * on_h200(config, 64).data);
    EXPECT_EQ(on_h200(config, 8, LinkKind::infiniband200).total(), on_h200(config, 8).total());
}

TEST(StepTime, waits_for_tensor_parallel_messages_and_pipelines) {
    const StepTime tensor = on_h200(billion({"parallel.tensor=8"}), 8);
    EXPECT_GT(tensor.tensor, 0.0);
    EXPECT_NEAR(tensor.pipeline, 0.0, 1e-9);
    EXPECT_EQ(tensor.data, 0.0);
    const StepTime pipeline = on_h200(billion({"parallel.pipeline=8"}), 8);
    EXPECT_EQ(pipeline.tensor, 0.0);
    // Of 64 micro-batches on 8 stages at least (p - 1) / (m + p - 1).
    EXPECT_GT(pipeline.pipeline / pipeline.total(), 7.0 / 71.0);
}

TEST(StepTime, names_the_two_largest_shares) {
    const auto bounds = bounds_of({.compute = 2.0, .memory = 1.0, .tensor = 0.5, .data = 3.0, .pipeline = 0.1});
    EXPECT_EQ(bounds[0], "data-parallel messages");
    EXPECT_EQ(bounds[1], "compute");
}

TEST(StepCost, of_a_product_is_that_of_its_operations_or_of_its_bytes) {
    EXPECT_DOUBLE_EQ(ring_seconds(8e9, 8, {.bytes = 7e9, .latency = 0.0}), 1.0);
    EXPECT_DOUBLE_EQ(ring_seconds(0.0, 8, {.bytes = 1.0, .latency = 1.0}), 0.0);
    EXPECT_DOUBLE_EQ(ring_seconds(1e9, 1, {.bytes = 1.0, .latency = 1.0}), 0.0);
    EXPECT_DOUBLE_EQ(ring_seconds(3.0, 3, {.bytes = 1.0, .latency = 5.0}), 12.0);
}

LoadedConfig small(const Settings& more) {
    Settings all{"model.hidden_size=64", "model.ffn_size=96",       "model.vocab_size=500",
                 "model.layers=8",       "model.heads=8",           "model.kv_heads=4",
                 "data.train=none",      "data.sequence_length=32", "training.global_batch_size=64"};
    all.insert(all.end(), more.begin(), more.end());
    return load_config_text("name: plan\n", "plan", all);
}

std::vector<LayoutChoice> search(std::int64_t ranks, double memory_bytes, const Settings& own = {}) {
    const auto reload = [&](const Settings& overrides) {
        Settings all = own;
        all.insert(all.end(), overrides.begin(), overrides.end());
        return small(all);
    };
    return search_layouts(small(own).values, {.ranks = ranks, .memory_bytes = memory_bytes},
                          speed_of_cpu(ComputeDtype::fp32, 1), reload);
}

TEST(Search, ranks_the_layouts_that_fit) {
    const auto all = search(8, 0.0);
    ASSERT_GT(all.size(), 50U);
    for (std::size_t i = 1; i < all.size(); ++i) EXPECT_LE(all[i - 1].time.total(), all[i].time.total());
    const double limit = 2e6;
    const auto few = search(8, limit);
    EXPECT_LT(few.size(), all.size());
    for (const LayoutChoice& choice : few) {
        EXPECT_LE(double(choice.plan.largest().memory.total_bytes()), limit);
        EXPECT_EQ(plan_run(small(choice.overrides), 8, 1).mesh.ranks(), 8);
    }
}

TEST(Search, tells_micro_batches_apart) {
    std::set<double> seconds;
    for (const LayoutChoice& choice : search(1, 0.0)) seconds.insert(choice.time.total());
    EXPECT_EQ(seconds.size(), 18U);  // 6 sizes x 3 ways of recomputing
}

TEST(Search, finds_layouts_though_the_own_one_is_impossible) {
    const Settings own{"training.micro_batch_size=8"};
    EXPECT_THROW(plan_run(small(own), 64, 1), Error);
    EXPECT_FALSE(search(64, 0.0, own).empty());
}

TEST(Search, leaves_room_for_what_a_gpu_holds_beside_the_arenas) {
    const LoadedConfig config = small({"parallel.tensor=2"});
    const RunPlan plan = plan_run(config, 2, 1, Device::cuda);
    const std::int64_t arenas = plan.largest().memory.total_bytes();
    EXPECT_EQ(device_bytes_of(config.values, plan, Device::cpu, 8), arenas);
    EXPECT_GT(device_bytes_of(config.values, plan, Device::cuda, 8), arenas + (std::int64_t(1) << 30));
}

}  // namespace
}  // namespace gpas
