// What `gpas plan` prints, against hand counts and against what a replica then takes.
#include "engine/plan/plan.hpp"
#include "kernels/ops.hpp"
#include "tests/support/models.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace gpas {
namespace {

using Settings = std::vector<std::string>;

const Settings model{"model.hidden_size=64",
                     "model.ffn_size=96",
                     "model.vocab_size=500",
                     "model.layers=8",
                     "model.heads=8",
                     "model.kv_heads=4",
                     "data.train=none",
                     "data.sequence_length=32",
                     "training.global_batch_size=64",
                     "training.micro_batch_size=4",
                     "parallel.bucket_mib=0"};

LoadedConfig config(const Settings& more) {
    Settings all = model;
    all.insert(all.end(), more.begin(), more.end());
    return load_config_text("name: plan\n", "plan", all);
}
RunPlan plan(std::int64_t ranks, const Settings& more = {}) { return plan_run(config(more), ranks, 1); }

TEST(RunPlan, parameters_of_all_ranks_add_up_to_the_model) {
    const LoadedConfig loaded = config({"parallel.tensor=4", "parallel.pipeline=2"});
    const MeshSize mesh{.tensor = 4, .data = 1, .pipeline = 2};
    std::int64_t sliced = 0, whole = 0;
    for (int rank = 0; rank < mesh.ranks(); ++rank) {
        const ReplicaShape shape = replica_shape(loaded.values, mesh, place_of(rank, mesh), 1, true);
        Arena arena = Arena::measuring();
        const ParameterStore store(parameter_specs(shape.model, shape.optimizer, shape.parts), shape.store, arena);
        for (std::size_t i = 0; i < store.specs().size(); ++i) {
            const bool everywhere = store.specs()[i].tensor_axis < 0;
            (everywhere ? whole : sliced) += store.slab(i).elements;
        }
    }
    EXPECT_EQ(sliced + whole / 4, plan(8, {"parallel.tensor=4", "parallel.pipeline=2"}).parameters);
}

TEST(RunPlan, memory_is_what_a_replica_takes) {
    const auto self = make_self_communicator();
    for (const char* recompute : {"none", "selective", "full"})
        for (const char* dtype : {"fp32", "bf16"}) {
            const LoadedConfig loaded =
                config({"parallel.recompute=" + std::string(recompute), "compute.dtype=" + std::string(dtype)});
            const RunPlan planned = plan_run(loaded, 1, 1);
            Replica replica(replica_shape(loaded.values, {}, {}, 1, true), *self, *self);
            EXPECT_EQ(replica.plan().total_bytes(), planned.stages[0].memory.total_bytes());
            EXPECT_EQ(replica.used_bytes(),
                      planned.stages[0].memory.total_bytes() - planned.stages[0].memory.scratch_bytes);
        }
}

TEST(RunPlan, the_sharded_optimizer_keeps_a_share_of_the_state) {
    const Settings bf16{"compute.dtype=bf16"};
    const std::int64_t alone = plan(1, bf16).stages[0].memory.optimizer_bytes;
    const std::int64_t shared = plan(4, bf16).stages[0].memory.optimizer_bytes;
    EXPECT_NEAR(double(alone) / double(shared), 4.0, 0.03);  // gates are everywhere, 64 elements of room each
    EXPECT_EQ(plan(4, {"compute.dtype=bf16", "parallel.sharded_optimizer=false"}).stages[0].memory.optimizer_bytes,
              alone);
}

// Of a layer of pre_gpas, a token: two streams and two pre-norms' statistics (full: one stream); unless inside
// attention and MLP everything is computed again: q, k, v, o, gate and up, and the softmax's sums.
double kept_bytes(double hidden_rows, double inner, bool none, bool full) {
    const double streams = full ? 1.0 : 2.0;
    return 4.0 * (streams * hidden_rows + (none ? inner : 0.0)) + (full ? 0.0 : 8.0 * hidden_rows / 64.0);
}

TEST(RunPlan, recompute_and_sequence_parallelism_cut_activations_as_the_formulas_say) {
    const double tokens = 4 * 32, layers = 8;
    for (const int t : {1, 2, 4})
        for (const bool sequence : {false, true})
            for (const char* recompute : {"none", "selective", "full"}) {
                if (t == 1 && sequence) continue;
                Settings settings{"parallel.tensor=" + std::to_string(t),
                                  "parallel.recompute=" + std::string(recompute)};
                if (sequence) settings.push_back("parallel.sequence_parallel=true");
                const double hidden = sequence ? 64.0 / t : 64.0;
                const double inner = (16.0 * 8 + 8.0 * 8 + 2.0 * 96) / t;  // qkv and o; gate and up
                const double sums = 8.0 / t;                               // one a head, fp32
                const bool none = std::string(recompute) == "none", full = std::string(recompute) == "full";
                const double layer = kept_bytes(hidden, inner + sums, none, full) * tokens;
                const double ends =
                    tokens * (4.0 * hidden + 4.0 * hidden / 64.0);  // input of the first layer, final norm
                const double expected = layers * layer + ends;
                EXPECT_NEAR(double(plan(t, settings).stages[0].memory.activation_bytes) / expected, 1.0, 0.02)
                    << t << sequence << recompute;
            }
}

TEST(RunPlan, for_gpus_counts_padding_and_their_temporaries_in_every_build) {
    const LoadedConfig loaded = config({"model.ffn_size=5461", "model.hidden_size=2048", "model.heads=32"});
    const RankPlan on_cpu = plan_run(loaded, 1, 1).stages[0], on_gpu = plan_run(loaded, 1, 1, Device::cuda).stages[0];
    // Three columns more, of gate, up and down, in each layer.
    const std::int64_t padding = 3 * 3 * 2048 * loaded.values.model.layers;
    EXPECT_NEAR(double(on_gpu.memory.gradient_bytes - on_cpu.memory.gradient_bytes), double(4 * padding),
                4.0 * 64 * 3 * double(loaded.values.model.layers));  // each parameter begins at a multiple of 64
    EXPECT_GT(on_gpu.memory.scratch_bytes, 0);
    EXPECT_EQ(on_gpu.parameters, on_cpu.parameters);
}

TEST(RunPlan, counts_the_bytes_that_ranks_hand_over) {
    const double stream = 4.0 * 4 * 32 * 64;  // fp32, of a micro-batch
    const double m = 16, layers = 8;
    const StepTraffic tensor = plan(2, {"parallel.tensor=2"}).stages[0].traffic;
    // Each layer: attention and MLP, forward and backward. The embedding forward, the head backward.
    EXPECT_DOUBLE_EQ(tensor.tensor_all_reduce, m * stream * (4 * layers + 2));
    EXPECT_DOUBLE_EQ(tensor.tensor_all_gather, m * 4 * 32 * 3 * 2 * 4);  // three numbers a token of each rank
    const StepTraffic sequence = plan(2, {"parallel.tensor=2", "parallel.sequence_parallel=true"}).stages[0].traffic;
    EXPECT_EQ(sequence.tensor_all_reduce, 0.0);
    EXPECT_DOUBLE_EQ(sequence.tensor_reduce_scatter, m * stream * (4 * layers + 2));
    EXPECT_DOUBLE_EQ(sequence.tensor_all_gather, m * stream * (6 * layers + 2) + m * 4 * 32 * 3 * 2 * 4);
    const RunPlan stages = plan(2, {"parallel.pipeline=2"});
    for (const RankPlan& stage : stages.stages) EXPECT_DOUBLE_EQ(stage.traffic.pipeline_send, m * stream);
    const RunPlan data = plan(4);
    EXPECT_DOUBLE_EQ(data.stages[0].traffic.gradient_reduce, double(data.stages[0].memory.gradient_bytes));
    EXPECT_DOUBLE_EQ(data.stages[0].traffic.weight_gather, double(data.stages[0].memory.weight_bytes));
    EXPECT_EQ(plan(1).stages[0].traffic.total(), 0.0);
}

TEST(RunPlan, the_bubble_of_equal_stages_is_that_of_the_formula) {
    // 8 layers on 4 stages; a vocabulary of next to nothing makes the head free.
    const RunPlan equal = plan(4, {"parallel.pipeline=4", "parallel.stage_layers='2,2,2,2'", "model.vocab_size=2"});
    const double m = 16, p = 4;
    EXPECT_NEAR(equal.bubble_share, (p - 1) / (m + p - 1), 0.01);
    EXPECT_GT(plan(4, {"parallel.pipeline=4", "training.micro_batch_size=16"}).bubble_share, equal.bubble_share);
}

TEST(StageLayers, are_balanced_with_the_head_counted) {
    ModelConfig small = config({}).values.model;
    const auto counts = [&](std::int64_t stages) {
        std::vector<std::int64_t> all;
        for (const Range& range : stage_layers(small, 32, stages, {})) all.push_back(range.size());
        return all;
    };
    small.vocab_size = 1;
    EXPECT_EQ(counts(4), (std::vector<std::int64_t>{2, 2, 2, 2}));
    small.vocab_size = 2000;  // as much as some layers
    const auto uneven = counts(4);
    EXPECT_EQ(std::accumulate(uneven.begin(), uneven.end(), std::int64_t(0)), 8);
    EXPECT_EQ(uneven.back(), 1);
    for (const std::int64_t count : uneven) EXPECT_GE(count, 1);
}

}  // namespace
}  // namespace gpas
