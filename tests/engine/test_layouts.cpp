// Run under mpirun on 8 ranks: the layout of the ranks changes nothing but the order of sums.
#include "kernels/ops.hpp"
#include "tests/engine/layouts.hpp"

namespace gpas {
namespace {

using namespace layouts;

struct Family {
    std::string name;
    Settings settings;
    std::vector<Layout> layouts;
};

std::vector<Family> families() {
    return {
        {"pre_gpas",
         {"model.architecture=pre_gpas"},
         {{"dp2", 2, {}},
          {"dp4", 4, {}},
          {"dp4 replicated", 4, {replicated}},
          {"tp2", 2, {tensor(2)}},
          {"tp2 sp", 2, {tensor(2), sequence}},
          {"tp4 sp", 4, {tensor(4), sequence}},
          {"tp2 sp overlapped", 2, {tensor(2), sequence, overlapped}},
          {"tp4 sp overlapped full dp2", 8, {tensor(4), sequence, overlapped, recompute("full")}},
          {"tp4", 4, {tensor(4)}},
          {"pp2", 2, {pipeline(2)}},
          {"pp4", 4, {pipeline(4)}},
          {"pp2 gpipe", 2, {pipeline(2), schedule("gpipe")}},
          {"pp4 zb", 4, {pipeline(4), schedule("zb_h1")}},
          {"pp2 interleaved", 2, {pipeline(2), schedule("interleaved"), two_chunks}},
          {"tp2 sp pp2 dp2", 8, {tensor(2), sequence, pipeline(2)}},
          {"uneven pp2", 2, {pipeline(2), "parallel.stage_layers=1,3"}},
          {"selective", 1, {recompute("selective")}},
          {"full", 1, {recompute("full")}},
          {"dp2 in another order", 8, {tensor(2), pipeline(2), "parallel.order=tensor_pipeline_data"}}}},
        {"post_gpas, a gate each, tied",
         {"model.architecture=post_gpas", "model.gate.per_sublayer=true", "model.tied_embeddings=true"},
         {{"dp2 all at once", 2, {small_buckets}},
          {"tp2 sp dp2", 4, {tensor(2), sequence}},
          {"tp2 dp4", 8, {tensor(2)}},
          {"pp4 dp2", 8, {pipeline(4)}},
          {"pp2 zb tp2 sp", 4, {pipeline(2), schedule("zb_h1"), tensor(2), sequence}},
          {"pp2 zb tp4 sp overlapped", 8, {pipeline(2), schedule("zb_h1"), tensor(4), sequence, overlapped}},
          {"pp2 interleaved dp2 replicated", 4, {pipeline(2), schedule("interleaved"), two_chunks, replicated}},
          {"full pp2 dp2", 4, {recompute("full"), pipeline(2)}},
          {"selective tp4 sp", 4, {recompute("selective"), tensor(4), sequence}}}},
        {"sandwich_gpas with documents",
         {"model.architecture=sandwich_gpas"},
         {{"dp2 tp2 pp2", 8, {tensor(2), pipeline(2)}},
          {"tp4 sp pp2", 8, {tensor(4), sequence, pipeline(2)}},
          {"pp4 gpipe replicated dp2", 8, {pipeline(4), schedule("gpipe"), replicated}},
          {"pp2 interleaved tp2 sp full",
           4,
           {pipeline(2), schedule("interleaved"), two_chunks, tensor(2), sequence, recompute("full")}}}},
        {"post_pre_gpas in stages",
         {"model.architecture=post_pre_gpas", "model.mix_post_layers=2"},
         {{"pp4", 4, {pipeline(4)}},
          {"tp2 sp pp2 zb", 4, {tensor(2), sequence, pipeline(2), schedule("zb_h1")}},
          {"full tp2", 2, {recompute("full"), tensor(2)}}}},
        // 74 rows per micro-batch are 25, 25 and 24; 37 are 13, 13 and 11, or 19 and 18.
        {"sandwich_gpas, a sequence that ranks cannot share evenly",
         {"model.architecture=sandwich_gpas", "data.sequence_length=37", "model.heads=6", "model.kv_heads=6"},
         {{"tp3 sp", 3, {tensor(3), sequence}},
          {"tp3 sp overlapped", 3, {tensor(3), sequence, overlapped}},
          {"tp3 sp overlapped micro 1 selective pp2",
           6,
           {tensor(3), sequence, overlapped, one_sample, recompute("selective"), pipeline(2)}},
          {"tp3 sp micro 1 pp2 zb", 6, {tensor(3), sequence, one_sample, pipeline(2), schedule("zb_h1")}},
          {"tp2 sp micro 1 selective dp2", 4, {tensor(2), sequence, one_sample, recompute("selective")}}}},
        {"post_gpas tied, a sequence that ranks cannot share evenly",
         {"model.architecture=post_gpas", "model.tied_embeddings=true", "data.sequence_length=37", "model.heads=6",
          "model.kv_heads=3"},
         {{"tp3 sp micro 1 full", 3, {tensor(3), sequence, one_sample, recompute("full")}},
          {"tp3 sp pp2 interleaved", 6, {tensor(3), sequence, pipeline(2), schedule("interleaved"), two_chunks}}}},
        {"reordered_gpas with biases and a norm over the projection, as OLMo 2",
         {"model.architecture=reordered_gpas", "model.qkv_bias=true", "model.output_bias=true", "model.mlp_bias=true",
          "model.qk_norm=projection", "data.sequence_length=37"},
         {{"tp2", 2, {tensor(2)}},
          {"tp4 sp micro 1 dp2", 8, {tensor(4), sequence, one_sample}},
          {"tp2 sp overlapped pp2 dp2", 8, {tensor(2), sequence, overlapped, pipeline(2)}},
          {"pp4 zb dp2", 8, {pipeline(4), schedule("zb_h1")}},
          {"pp2 interleaved tp2 selective",
           4,
           {pipeline(2), schedule("interleaved"), two_chunks, tensor(2), recompute("selective")}},
          {"full tp4", 4, {recompute("full"), tensor(4)}}}},
        {"pre_gpas with biases, a norm per head and a window, as Qwen 3 and Mistral",
         {"model.architecture=pre_gpas", "model.qkv_bias=true", "model.output_bias=true", "model.mlp_bias=true",
          "model.qk_norm=head", "model.sliding_window=5"},
         {{"tp2", 2, {tensor(2)}},
          {"tp4 sp overlapped dp2", 8, {tensor(4), sequence, overlapped}},
          {"tp2 sp overlapped pp2 zb", 4, {tensor(2), sequence, overlapped, pipeline(2), schedule("zb_h1")}},
          {"tp2 pp2 dp2 selective", 8, {tensor(2), pipeline(2), recompute("selective")}},
          {"pp2 interleaved full", 2, {pipeline(2), schedule("interleaved"), two_chunks, recompute("full")}},
          {"tp2 dp2 replicated full", 4, {tensor(2), replicated, recompute("full")}}}},
        // The last of four ranks has no token.
        {"pre_gpas, fewer tokens than ranks",
         {"model.architecture=pre_gpas", "data.sequence_length=3"},
         {{"tp4 sp micro 1", 4, {tensor(4), sequence, one_sample}},
          {"tp4 sp overlapped micro 1", 4, {tensor(4), sequence, overlapped, one_sample}}}},
    };
}

using Tensors = std::map<std::string, std::vector<float>>;

// L2, relative to the tensor.
double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0.0, size = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference += std::pow(double(a[i]) - double(b[i]), 2);
        size += std::pow(double(b[i]), 2);
    }
    return size == 0.0 ? std::sqrt(difference) : std::sqrt(difference / size);
}

// Variances of the stream after each sub-layer at step 1.
std::vector<double> variances(const std::string& directory) {
    std::ifstream file(directory + "/metrics.jsonl");
    std::vector<double> values;
    for (std::string line; values.empty() && std::getline(file, line);) {
        const nlohmann::json record = nlohmann::json::parse(line);
        if (record.contains("variances"))
            for (const nlohmann::json& reading : record.at("variances")) values.push_back(reading.at("variance"));
    }
    return values;
}

// Of each tensor, and of the curve, what another order of the same sums does to them on one rank.
struct Spread {
    double curve = 0.0;
    double gradients = 0.0;
};

void compare(const std::string& shared, const std::string& base, const std::string& name, const Spread& spread) {
    SCOPED_TRACE(name);
    EXPECT_EQ(tensors(shared + name + " initial", 0), tensors(shared + base + " initial", 0));  // bit by bit
    const std::vector<double> expected = losses(shared + base), found = losses(shared + name);
    ASSERT_EQ(found.size(), std::size_t(run_steps()));
    EXPECT_NEAR(found.front(), expected.front(), 1e-6 * expected.front());
    EXPECT_LE(largest_difference(found, expected), 8.0 * spread.curve);
    // The first moments of step 1 are its gradients times a constant.
    const Tensors expected_state = tensors(shared + base, 1), state = tensors(shared + name, 1);
    ASSERT_EQ(state.size(), expected_state.size());
    for (const auto& [tensor, values] : expected_state)
        if (tensor.starts_with("adam_m/") && values.size() > 1) {
            EXPECT_LE(relative_difference(state.at(tensor), values), 8.0 * spread.gradients) << tensor;
        }
    const std::vector<double> stream = variances(shared + base), other_stream = variances(shared + name);
    ASSERT_EQ(other_stream.size(), stream.size());
    ASSERT_FALSE(stream.empty());
    // They are measured on the last micro-batch of the first data-parallel rank.
    const bool same_samples = name.find("dp") == std::string::npos && name.find("micro 1") == std::string::npos;
    for (std::size_t i = 0; same_samples && i < stream.size(); ++i)
        EXPECT_NEAR(other_stream[i], stream[i], 1e-5 * stream[i]) << i;
    const std::vector<double> norms = numbers(shared + base, "gradient_norm"),
                              other = numbers(shared + name, "gradient_norm");
    ASSERT_EQ(norms.size(), std::size_t(run_steps()));
    EXPECT_NEAR(other.front(), norms.front(), 4e-6 * norms.front());
}

// Sizes of micro-batches that sum the same numbers in other orders. Several: what rounding grows to in a run is
// chance.
const char* const other_sizes[] = {"1", "4", "8", "16"};

std::vector<Layout> tested(const Family& family) {
    std::vector<Layout> layouts;
    for (std::size_t i = 0; i < family.layouts.size(); i += layout_step) layouts.push_back(family.layouts[i]);
    return layouts;
}

Spread spread_of_orders(const std::string& base) {
    Spread spread;
    const Tensors expected = tensors(base, 1);
    for (const char* size : other_sizes) {
        const std::string other = base + " micro " + size;
        spread.curve = std::max(spread.curve, largest_difference(losses(other), losses(base)));
        for (const auto& [tensor, values] : tensors(other, 1))
            if (tensor.starts_with("adam_m/") && values.size() > 1)
                spread.gradients = std::max(spread.gradients, relative_difference(values, expected.at(tensor)));
    }
    return spread;
}

TEST_F(Layouts, change_nothing) {
    std::vector<Job> jobs;
    for (const Family& family : families()) {
        jobs.push_back(job(family.name, 1, family.settings));
        for (const char* size : other_sizes)
            jobs.push_back(job(family.name + " micro " + size, 1,
                               family.settings + Settings{std::string("training.micro_batch_size=") + size}));
        for (const Layout& layout : tested(family))
            jobs.push_back(job(family.name + ", " + layout.name, layout.ranks, family.settings + layout.settings));
    }
    run_together(*world_, std::move(jobs));
    if (world_->rank() != 0) return;
    int compared = 0;
    for (const Family& family : families()) {
        const Spread spread = spread_of_orders(shared_ + family.name);
        EXPECT_LT(spread.curve, 1e-3);  // a larger tolerance would detect nothing
        EXPECT_LT(spread.gradients, 1e-5);
        EXPECT_GT(spread.gradients, 0.0);
        for (const Layout& layout : tested(family)) {
            compare(shared_, family.name, family.name + ", " + layout.name, spread);
            ++compared;
        }
    }
    EXPECT_GE(compared, 24 / int(layout_step));
}

// Masters, moments and checkpoints in fp32, the forward pass in bf16.
TEST_F(Layouts, change_bf16_runs_by_no_more_than_bf16_rounding) {
    const Settings bf16{"model.architecture=sandwich_gpas", "compute.dtype=bf16"};
    const std::vector<Layout> layouts{
        {"dp2", 2, {}},
        {"dp4 tp2 sp", 8, {tensor(2), sequence}},
        {"tp4 sp overlapped", 4, {tensor(4), sequence, overlapped}},
        {"pp2 zb dp2", 4, {pipeline(2), schedule("zb_h1")}},
        {"pp2 interleaved tp2", 4, {pipeline(2), schedule("interleaved"), two_chunks, tensor(2)}}};
    std::vector<Job> jobs{job("bf16", 1, bf16), job("bf16 micro 8", 1, bf16 + Settings{"training.micro_batch_size=8"}),
                          job("fp32", 1, {"model.architecture=sandwich_gpas"})};
    for (const Layout& layout : layouts)
        jobs.push_back(job("bf16 " + layout.name, layout.ranks, bf16 + layout.settings));
    run_together(*world_, std::move(jobs));
    if (world_->rank() != 0) return;
    // What bf16 does to the curve at all, and what another order of sums does to that.
    const std::vector<double> base = losses(shared_ + "bf16");
    const double rounding = std::max(largest_difference(base, losses(shared_ + "fp32")),
                                     largest_difference(base, losses(shared_ + "bf16 micro 8")));
    // Or it would bound nothing. How much it is depends on the processor: AMX and AVX-512 round at other places.
    EXPECT_LT(rounding, 0.1 * (base.front() - base.back()));
    for (const Layout& layout : layouts) {
        const std::string name = shared_ + "bf16 " + layout.name;
        EXPECT_EQ(tensors(name + " initial", 0), tensors(shared_ + "bf16 initial", 0)) << layout.name;
        EXPECT_LE(largest_difference(losses(name), base), 2.0 * rounding) << layout.name;
    }
}

// A sum of two numbers has one order.
TEST_F(Layouts, a_sharded_optimizer_on_two_ranks_gives_the_bits_of_a_replicated_one) {
    for (const char* dtype : {"fp32", "bf16"}) {
        const Settings settings{"model.architecture=pre_gpas", "compute.dtype=" + std::string(dtype)};
        const std::string name = dtype;
        run_together(*world_, {job(name + " sharded", 2, settings),
                               job(name + " replicated", 2, settings + Settings{replicated})});
        if (world_->rank() != 0) continue;
        EXPECT_EQ(tensors(shared_ + name + " sharded", run_steps()),
                  tensors(shared_ + name + " replicated", run_steps()))
            << dtype;
        EXPECT_EQ(losses(shared_ + name + " sharded"), losses(shared_ + name + " replicated")) << dtype;
    }
}

TEST_F(Layouts, recompute_gives_the_same_bits) {
    const std::vector<std::string> rows{"pre_gpas",      "post_gpas",     "sandwich_gpas", "lns_gpas",
                                        "deeppost_gpas", "post_pre_gpas", "reordered_gpas"};
    const std::vector<std::string> kinds{"none", "selective", "full"};
    std::vector<Job> jobs;
    for (const std::string& row : rows)
        for (const std::string& what : kinds)
            jobs.push_back({1, [=, this](std::unique_ptr<Communicator> group) {
                                train(config(row + " " + what, {"model.architecture=" + row, recompute(what.c_str())}),
                                      std::move(group), 1);
                            }});
    run_together(*world_, std::move(jobs));
    if (world_->rank() != 0) return;
    for (const std::string& row : rows)
        for (const std::string& what : kinds)
            EXPECT_EQ(tensors(shared_ + row + " " + what, 1), tensors(shared_ + row + " none", 1)) << row << what;
}

TEST_F(Layouts, a_run_resumes_on_another_layout) {
    const Settings row{"model.architecture=pre_gpas"};
    const std::vector<Layout> places{{"", 8, {tensor(2), sequence, pipeline(2)}}, {"", 1, {}}, {"", 4, {pipeline(4)}}};
    run_together(*world_,
                 {job("straight", 1, row), job("straight micro 8", 1, row + Settings{"training.micro_batch_size=8"})});
    std::int64_t end = run_steps() / 3;
    for (const Layout& place : places) {
        on_ranks(*world_, place.ranks, [&](std::unique_ptr<Communicator> group) {
            train(config("moving", row + place.settings + Settings{"training.stop_after=" + std::to_string(end)}),
                  std::move(group), 1);
        });
        end += run_steps() / 3;
    }
    if (world_->rank() != 0) return;
    const double spread = largest_difference(losses(shared_ + "straight micro 8"), losses(shared_ + "straight"));
    EXPECT_LE(largest_difference(losses(shared_ + "moving"), losses(shared_ + "straight")), 8.0 * spread);
}

}  // namespace
}  // namespace gpas
