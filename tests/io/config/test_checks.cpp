// Contradictions between keys: found, blamed on the right key, with the values that take part.
#include "io/config/check.hpp"
#include "kernels/cuda/gpu.hpp"
#include "tests/io/config/config_files.hpp"

namespace gpas {
namespace {

struct Contradiction {
    const char* what;
    std::string text;
    std::string head;
    std::vector<std::string> words;
};

TEST(Checks, RefuseContradictionsWithThePlaceOfTheKeyAtFault) {
    const Contradiction cases[] = {
        {"heads and hidden size",
         "model:\n  heads: 7\n",
         "run.yaml:2:10: model.heads: 7 heads do not divide",
         {"hidden_size 512", "the default"}},
        {"odd head dimension", "model:\n  head_dim: 63\n", "run.yaml:2:13: model.head_dim: ", {"63", "even"}},
        {"odd quotient", "model:\n  heads: 512\n", "run.yaml:2:10: model.heads: ", {"even", "model.hidden_size = 512"}},
        {"key/value heads",
         "model:\n  heads: 8\n  kv_heads: 3\n",
         "run.yaml:3:13: model.kv_heads: 3 key/value heads",
         {"8 heads", "run.yaml:2:10"}},
        {"more post layers than layers",
         "model:\n  architecture: post_pre\n  layers: 4\n  mix_post_layers: 5\n",
         "run.yaml:4:20: model.mix_post_layers: ",
         {"5", "at most 4"}},
        {"post layers without Mix-LN",
         "model:\n  mix_post_layers: 2\n",
         "run.yaml:2:20: model.mix_post_layers: ",
         {"no effect", "post_pre_gpas", "not pre_gpas"}},
        {"lns without LNS", "model:\n  lns: output\n", "run.yaml:2:8: model.lns: ", {"no effect", "lns_gpas"}},
        {"output_init with DeepNorm",
         "model:\n  architecture: deeppost\n  output_init: scaled\n",
         "run.yaml:3:16: model.output_init: ",
         {"DeepNorm's own"}},
        {"a gate setting without gates",
         "model:\n  architecture: pre\n  gate:\n    init: 0.5\n",
         "run.yaml:4:11: model.gate.init: ",
         {"architecture pre has no gates", "write 0"}},
        {"per-sub-layer without gates",
         "model:\n  architecture: lns\n  gate: {per_sublayer: true}\n",
         "run.yaml:3:24: model.gate.per_sublayer: ",
         {"lns has no gates"}},
        {"clipping without gates",
         "model:\n  architecture: pre\noptimizer:\n  clip_gate_grad: 0.01\n",
         "run.yaml:4:19: optimizer.clip_gate_grad: ",
         {"no gates"}},
        {"clipping frozen gates",
         "model:\n  gate: {frozen: true}\noptimizer:\n  clip_gate_grad: 0.01\n",
         "run.yaml:4:19: optimizer.clip_gate_grad: ",
         {"frozen", "model.gate.frozen = true"}},
        {"a scale that scale_silu has not",
         "model:\n  gate: {function: scale_silu, scale: 2}\n",
         "run.yaml:2:39: model.gate.scale: ",
         {"scale_silu has no scale"}},
        {"the end of cut documents if none is cut",
         "data:\n  truncated_end: eos\n",
         "run.yaml:2:18: data.truncated_end: ",
         {"no effect", "packed"}},
        {"means of equal micro-batches",
         "training:\n  loss_mean: micro_batches\n",
         "run.yaml:2:14: training.loss_mean: ",
         {"no effect", "same number of loss tokens"}},
        {"the mean of one micro-batch",
         "data:\n  mode: padded\ntraining:\n  loss_mean: micro_batches\n  global_batch_size: 8\n",
         "run.yaml:4:14: training.loss_mean: ",
         {"no effect", "one micro-batch"}},
        {"the first step of a constant schedule",
         "schedule:\n  kind: constant\n  warmup_steps: 0\n  first_step: 0\n",
         "run.yaml:4:15: schedule.first_step: ",
         {"no effect", "constant"}},
        {"a scale that silu has not",
         "model:\n  gate: {scale: 2}\n",
         "run.yaml:2:17: model.gate.scale: ",
         {"silu has no scale"}},
        {"leaky_relu of slope one",
         "model:\n  gate: {function: leaky_relu}\n",
         "run.yaml:2:20: model.gate.function: ",
         {"identity", "model.gate.scale"}},
        {"masking padded samples",
         "data:\n  mode: padded\n  mask_documents: true\n",
         "run.yaml:3:19: data.mask_documents: ",
         {"one document"}},
        {"valid and a fraction",
         "data:\n  valid: v\n  valid_fraction: 0.1\n",
         "run.yaml:3:19: data.valid_fraction: ",
         {"no effect"}},
        {"nothing to evaluate on",
         "data:\n  valid_fraction: 0\n",
         "run.yaml:2:19: data.valid_fraction: ",
         {"no held-out data", "evaluation.every"}},
        {"a source twice",
         "data:\n  train: [a, b, a]\n",
         "run.yaml:2:10: data.train: found 'a' twice",
         {"sum of the weights"}},
        {"warm-up beyond the end",
         "training:\n  steps: 500\n",
         "run.yaml:2:10: training.steps: the warm-up of 1000 steps",
         {"to 50 (a tenth of the run)", "schedule.warmup_steps = 1000, the default"}},
        {"a profile that ends before it begins",
         "metrics:\n  profile: {from: 5, to: 4}\n",
         "run.yaml:2:19: metrics.profile.from: ",
         {"steps 5 to 4", "set both to 0"}},
        {"a profile without a beginning",
         "metrics:\n  profile: {to: 4}\n",
         "run.yaml:2:17: metrics.profile.to: ",
         {"steps 0 to 4"}},
        {"a profile behind the end",
         "training:\n  steps: 10000\nmetrics:\n  profile: {from: 5, to: 10001}\n",
         "run.yaml:4:26: metrics.profile.to: ",
         {"10001", "10000"}},
        {"wsd without decay",
         "schedule:\n  kind: wsd\n",
         "run.yaml:2:9: schedule.kind: wsd needs",
         {"schedule.decay_steps"}},
        {"wsd too long",
         "schedule: {kind: wsd, decay_steps: 9500}\n",
         "run.yaml:1:36: schedule.decay_steps: ",
         {"1000", "9500", "10000"}},
        {"decay inside the warm-up",
         "schedule: {decay_steps: 800}\n",
         "run.yaml:1:25: schedule.decay_steps: the cosine decay ends at step 800",
         {"1000"}},
        {"decay of a constant",
         "schedule: {kind: constant, decay_steps: 10}\n",
         "run.yaml:1:41: schedule.decay_steps: ",
         {"a constant schedule"}},
        {"wsd_decay of a cosine",
         "schedule: {wsd_decay: linear}\n",
         "run.yaml:1:23: schedule.wsd_decay: ",
         {"a cosine schedule"}},
        {"floor of a constant",
         "schedule: {kind: constant, min_ratio: 0.5}\n",
         "run.yaml:1:39: schedule.min_ratio: ",
         {"never decays"}},
        {"start of no warm-up",
         "schedule: {warmup_steps: 0, initial_ratio: 0.5}\n",
         "run.yaml:1:44: schedule.initial_ratio: ",
         {"no warm-up"}},
        {"stop behind the end",
         "training: {stop_after: 10001}\n",
         "run.yaml:1:24: training.stop_after: ",
         {"10001", "10000"}},
        {"skips while stopping",
         "training: {max_skipped_steps: 3}\n",
         "run.yaml:1:31: training.max_skipped_steps: ",
         {"on_bad_numbers"}},
        {"micro and global batch",
         "training: {micro_batch_size: 3}\n",
         "run.yaml:1:30: training.micro_batch_size: 512 samples",
         {"510 or 513"}},
        {"more tokens than 64 bits",
         "training: {steps: 1e9, global_batch_size: 1e6, micro_batch_size: 1}\ndata: {sequence_length: 1048576}\n",
         "run.yaml:1:19: training.steps: ",
         {"2^62"}},
        {"more tensor-parallel ranks than heads",
         "model: {heads: 8, kv_heads: 2}\nparallel: {tensor: 4}\n",
         "run.yaml:2:20: parallel.tensor: 4 tensor-parallel ranks for 2 key/value heads",
         {"at most 2", "model.kv_heads = 2"}},
        {"heads that tensor-parallel ranks cannot share",
         "parallel: {tensor: 3}\n",
         "run.yaml:1:20: parallel.tensor: 8 key/value heads",
         {"3 tensor-parallel ranks"}},
        {"more tensor-parallel ranks than feed-forward columns",
         "model: {ffn_size: 3}\nparallel: {tensor: 4}\n",
         "run.yaml:2:20: parallel.tensor: ",
         {"3 feed-forward columns"}},
        {"sequence parallelism of one",
         "parallel: {sequence_parallel: true}\n",
         "run.yaml:1:31: parallel.sequence_parallel: ",
         {"no effect", "one tensor-parallel rank"}},
        {"fewer layers than stages",
         "model: {layers: 3}\nparallel: {pipeline: 4}\n",
         "run.yaml:2:22: parallel.pipeline: 3 layers cannot be divided among 4 stages",
         {"at most 3"}},
        {"fewer layers than chunks",
         "model: {layers: 6}\nparallel: {pipeline: 4, virtual_chunks: 2, schedule: interleaved}\n",
         "run.yaml:2:22: parallel.pipeline: 6 layers cannot be divided among 8 stages",
         {}},
        {"a schedule without stages",
         "parallel: {schedule: zb_h1}\n",
         "run.yaml:1:22: parallel.schedule: ",
         {"no effect", "one pipeline stage"}},
        {"chunks without the interleaved schedule",
         "parallel: {pipeline: 2, virtual_chunks: 2}\n",
         "run.yaml:1:41: parallel.virtual_chunks: ",
         {"interleaved"}},
        {"the interleaved schedule of one chunk",
         "parallel: {pipeline: 2, schedule: interleaved}\n",
         "run.yaml:1:35: parallel.schedule: ",
         {"1f1b"}},
        {"a layout that is no list",
         "parallel: {pipeline: 2, stage_layers: '6;6'}\n",
         "run.yaml:1:39: parallel.stage_layers: found '6;6'",
         {"such as 4,4,3"}},
        {"a layout of too few stages",
         "parallel: {pipeline: 3, stage_layers: '6,6'}\n",
         "run.yaml:1:39: parallel.stage_layers: found layer counts for 2 stages",
         {"3 x 1 = 3"}},
        {"a layout of too few layers",
         "parallel: {pipeline: 2, stage_layers: '6,5'}\n",
         "run.yaml:1:39: parallel.stage_layers: the stages have 11 layers",
         {"expected 12"}},
        {"late weight gradients and recompute",
         "parallel: {pipeline: 2, schedule: zb_h1, recompute: full}\n",
         "run.yaml:1:53: parallel.recompute: ",
         {"1f1b"}},
        {"resume: none",
         "checkpoint: {resume: none}\n",
         "run.yaml:1:22: checkpoint.resume: found 'none'",
         {"write never"}},
        {"resume: true",
         "checkpoint: {resume: true}\n",
         "run.yaml:1:22: checkpoint.resume: found 'true'",
         {"write auto"}},
        {"an empty name", "name: ''\n", "run.yaml:1:7: name: ", {"expected a name"}},
        {"a path as name", "name: a/b\n", "run.yaml:1:7: name: found 'a/b'", {"directory"}},
        {"an empty directory", "directory: ''\n", "run.yaml:1:12: directory: ", {"runs/run"}},
        {"an unknown placeholder",
         "directory: runs/{size}\n",
         "run.yaml:1:12: directory: found 'runs/{size}'",
         {"{architecture}"}},
    };
    std::vector<Contradiction> all(std::begin(cases), std::end(cases));
    if (!cuda::built())
        all.push_back({"CUDA in a build without",
                       "compute:\n  device: cuda\n",
                       "run.yaml:2:11: compute.device: found cuda",
                       {"built without CUDA", "auto or cpu"}});
    for (const Contradiction& bad : all) {
        SCOPED_TRACE(bad.what);
        expect_message(error_of_text(bad.text), bad.head, bad.words);
    }
}

TEST(Checks, BlameTheCommandLineBeforeTheFile) {
    const std::string file = "schedule: {warmup_steps: 800}\n";
    expect_message(error_of_text(file, {"training.steps=500"}),
                   "command line: training.steps=500: the warm-up of 800 steps",
                   {"schedule.warmup_steps = 800, from run.yaml:1:26"});
    expect_message(error_of_text("optimizer: {clip_gate_grad: 0.01}\n", {"model.architecture=pre"}),
                   "command line: model.architecture=pre: optimizer.clip_gate_grad = 0.01 would have no effect",
                   {"from run.yaml:1:29", "write 0"});
}

TEST(Checks, AcceptDefaultsAndSettingsThatMatter) {
    EXPECT_NO_THROW(check_config(LoadedConfig{}));
    for (const char* text : {
             "model: {architecture: lns_gpas, lns: output}",
             "model: {architecture: post_pre_gpas, layers: 4, mix_post_layers: 4}",
             "model: {gate: {function: leaky_relu, scale: 0.01, init: 0.5, frozen: true}}",
             "model: {hidden_size: 768, heads: 16}",
             "model: {hidden_size: 100, heads: 7, head_dim: 64}",
             "model: {kv_heads: 2}",
             "schedule: {kind: wsd, decay_steps: 9000}",
             "schedule: {warmup_steps: 0}",
             "data: {valid_fraction: 0}\nevaluation: {every: 0}",
             "data: {valid_fraction: 0, valid: v}\n",
             "checkpoint: {resume: runs/a/step-100}",
         }) {
        SCOPED_TRACE(text);
        EXPECT_NO_THROW(load_config_text(text, "run.yaml"));
    }
}

TEST(Checks, TrainingNeedsData) {
    const auto without = load_config_text("name: a\n", "run.yaml");
    expect_message(usage_error([&] { check_for_training(without); }), "data.train: found no training data",
                   {"gpas prepare", "data.train=PREFIX"});
    EXPECT_NO_THROW(check_for_training(load_config_text("data: {train: a}\n", "run.yaml")));
}

TEST(Checks, WorldMustFitTheBatchAndTheLayout) {
    const auto config = load_config_text("training: {global_batch_size: 48, micro_batch_size: 8}\n", "run.yaml");
    for (const std::int64_t ranks : {1, 2, 3, 6}) EXPECT_EQ(check_for_world(config, ranks).data, ranks);
    expect_message(usage_error([&] { check_for_world(config, 4); }), "run.yaml:1:31: training.global_batch_size: ",
                   {"4 data-parallel ranks", "32 samples", "a global batch of 32 or 64", "run.yaml:1:53"});
    expect_message(usage_error([&] { check_for_world(config, 16); }),
                   "run.yaml:1:31: training.global_batch_size: ", {"a global batch of 128,"});
    const auto fixed = load_config_text("parallel: {data: 4}\n", "run.yaml");
    EXPECT_EQ(check_for_world(fixed, 4).data, 4);
    expect_message(usage_error([&] { check_for_world(fixed, 2); }),
                   "run.yaml:1:18: parallel.data: ", {"2 ranks were started", "start 4 ranks", "to 0"});
}

}  // namespace
}  // namespace gpas
