#include "io/config/check.hpp"

#include "base/bytes_text.hpp"
#include "base/error.hpp"
#include "io/config/checker.hpp"
#include "io/config/no_effect.hpp"
#include "io/config/stage_layers.hpp"
#include "kernels/cuda/gpu.hpp"

#include <algorithm>
#include <numeric>
#include <set>

namespace gpas {
namespace {

// "use 480 or 512": the multiples of `unit` next to `value`.
std::string multiples_near(std::int64_t value, std::int64_t unit) {
    const std::int64_t below = value / unit * unit;
    return below == 0 ? fmt::format("{}", unit) : fmt::format("{} or {}", below, below + unit);
}

void check_run(const ConfigChecker& check, const RunConfig& run) {
    check.refuse_if(run.name.empty(), {"name"}, "found empty text, expected a name for logs and exports");
    check.refuse_if(run.name.size() > 200, {"name"}, "found {} characters, expected at most 200", run.name.size());
    check.refuse_if(run.name.find_first_of("/{}") != std::string::npos, {"name"},
                    "found {}, expected a name without '/', '{{' and '}}'; folders belong in directory",
                    quote_found(run.name));
    check.refuse_if(run.directory.empty(), {"directory"}, "found empty text, expected a folder such as runs/run");
    check.refuse_if(run.directory.find_first_of("{}") != std::string::npos, {"directory"},
                    "found {}, expected no braces other than {{name}}, {{architecture}} and {{seed}}",
                    quote_found(run.directory));
}

void check_heads(const ConfigChecker& check, const ModelConfig& model) {
    const std::int64_t hidden = model.hidden_size;
    const std::int64_t heads = model.heads;
    check.refuse_if(model.head_dim == 0 && hidden % heads != 0, {"model.heads", "model.hidden_size", "model.head_dim"},
                    "{} heads do not divide hidden_size {}; choose a divisor, or set model.head_dim", heads, hidden);
    const std::int64_t head_dim = model.head_dim == 0 ? hidden / heads : model.head_dim;
    const char* odd =
        "found head dimension {}, expected an even number, because RoPE rotates pairs of elements; change heads or "
        "head_dim";
    if (model.head_dim == 0) {
        check.refuse_if(head_dim % 2 != 0, {"model.heads", "model.hidden_size"}, fmt::runtime(odd), head_dim);
    } else {
        check.refuse_if(head_dim % 2 != 0, {"model.head_dim"}, fmt::runtime(odd), head_dim);
    }
    check.refuse_if(
        model.kv_heads > 0 && heads % model.kv_heads != 0, {"model.kv_heads", "model.heads"},
        "{} key/value heads do not divide {} heads; every key/value head must serve the same number of query heads, "
        "so use a divisor such as {}",
        model.kv_heads, heads, std::gcd(model.kv_heads, heads));
}

void check_effects(const ConfigChecker& check, const RunConfig& run) {
    for (const NoEffect& rule : keys_without_effect(run)) {
        if (!rule.warned) check.refuse_without_effect(rule.key.c_str(), rule.because_of, rule.why);
    }
}

void check_gates(const ConfigChecker& check, const RunConfig& run) {
    const GateConfig& gate = run.model.gate;
    check.refuse_if(gate.function == GateFunction::leaky_relu && gate.scale == 1.0,
                    {"model.gate.function", "model.gate.scale"},
                    "leaky_relu with slope 1 is the identity; set model.gate.scale to another value, such as 0.01");
}

void check_model(const ConfigChecker& check, const ModelConfig& model) {
    check_heads(check, model);
    const RopeScalingConfig& rope = model.rope_scaling;
    check.refuse_if(rope.high_freq_factor <= rope.low_freq_factor,
                    {"model.rope_scaling.high_freq_factor", "model.rope_scaling.low_freq_factor"},
                    "found {} and {}, expected high_freq_factor to be larger than low_freq_factor",
                    rope.high_freq_factor, rope.low_freq_factor);
    check.refuse_if(model.mix_post_layers > model.layers, {"model.mix_post_layers", "model.layers"},
                    "found {} Post-LN layers in a model of {} layers; lower mix_post_layers to at most {}",
                    model.mix_post_layers, model.layers, model.layers);
}

void check_sources(const ConfigChecker& check, const char* key, const std::vector<DataSource>& sources) {
    std::set<std::string> seen;
    for (const DataSource& source : sources) {
        check.refuse_if(!seen.insert(source.path).second, {key},
                        "found {} twice, expected each source once; list it once, with the sum of the weights",
                        quote_found(source.path));
    }
}

void check_data(const ConfigChecker& check, const RunConfig& run) {
    const DataConfig& data = run.data;
    check_sources(check, "data.train", data.train);
    check_sources(check, "data.valid", data.valid);
    check.refuse_if(data.mode == SampleMode::padded && data.sequence_length == 1, {"data.sequence_length", "data.mode"},
                    "a padded sample of 1 token has no next token to predict, so there is no loss; use 2 or more, or "
                    "data.mode: packed");
    check.refuse_if(
        run.evaluation.every > 0 && data.valid.empty() && data.valid_fraction == 0 && run.evaluation.tasks.empty(),
        {"data.valid_fraction", "evaluation.every", "data.valid"},
        "evaluation has no held-out data; list validation files in data.valid, hold out a share of data.train with "
        "data.valid_fraction, or set evaluation.every to 0");
}

void check_tasks(const ConfigChecker& check, const RunConfig& run) {
    check.refuse_if(!run.evaluation.tasks.empty() && run.data.tokenizer.empty(), {"evaluation.tasks", "data.tokenizer"},
                    "found tasks and no tokenizer; set data.tokenizer to the tokenizer of the training data");
}

void check_steps(const ConfigChecker& check, const RunConfig& run) {
    const TrainingConfig& training = run.training;
    const ScheduleConfig& schedule = run.schedule;
    check.refuse_if(training.stop_after > training.steps, {"training.stop_after", "training.steps"},
                    "step {} is after the last step of the run, {}; lower stop_after or raise steps",
                    training.stop_after, training.steps);
    check.refuse_if(schedule.warmup_steps > training.steps, {"schedule.warmup_steps", "training.steps"},
                    "the warm-up of {} steps is longer than the run of {}, so the peak learning rate is never reached; "
                    "set schedule.warmup_steps to {} (a tenth of the run), for example",
                    schedule.warmup_steps, training.steps, training.steps / 10);
    // In floating point, because the three limits multiplied do not fit in 64 bits.
    const double tokens = static_cast<double>(training.steps) * static_cast<double>(training.global_batch_size) *
                          static_cast<double>(run.data.sequence_length);
    check.refuse_if(
        tokens > 0x1p62, {"training.steps", "training.global_batch_size", "data.sequence_length"},
        "steps x global_batch_size x sequence_length is more than 2^62 tokens; one of the three values must be a "
        "mistake");
}

void check_profile(const ConfigChecker& check, const RunConfig& run) {
    const ProfileConfig& profile = run.metrics.profile;
    check.refuse_if(
        profile.to < profile.from || (profile.from == 0 && profile.to > 0),
        {"metrics.profile.from", "metrics.profile.to"},
        "found steps {} to {}, expected a first step of at least 1 and a last step that is not before the first; set "
        "both to 0 to record no profile",
        profile.from, profile.to);
    check.refuse_if(profile.to > run.training.steps, {"metrics.profile.to", "training.steps"},
                    "step {} is after the last step of the run, {}; lower metrics.profile.to", profile.to,
                    run.training.steps);
}

void check_schedule(const ConfigChecker& check, const RunConfig& run) {
    const ScheduleConfig& schedule = run.schedule;
    const auto kind = name_of(schedule.kind);
    const bool wsd = schedule.kind == ScheduleKind::wsd;
    const bool decays = schedule.kind == ScheduleKind::linear || schedule.kind == ScheduleKind::cosine;
    const std::int64_t after_warmup = run.training.steps - schedule.warmup_steps;
    check.refuse_if(
        wsd && schedule.decay_steps == 0, {"schedule.kind", "schedule.decay_steps"},
        "wsd needs the length of its decay phase; set schedule.decay_steps to {} (about a tenth of the run), for "
        "example",
        std::clamp<std::int64_t>(run.training.steps / 10, 1, std::max<std::int64_t>(after_warmup, 1)));
    check.refuse_if(wsd && schedule.warmup_steps + schedule.decay_steps > run.training.steps,
                    {"schedule.decay_steps", "schedule.warmup_steps", "training.steps"},
                    "warm-up ({}) and decay ({}) together are longer than the run ({}); shorten one of them",
                    schedule.warmup_steps, schedule.decay_steps, run.training.steps);
    check.refuse_if(
        decays && schedule.decay_steps > 0 && schedule.decay_steps <= schedule.warmup_steps,
        {"schedule.decay_steps", "schedule.warmup_steps"},
        "the {} decay ends at step {}, before the warm-up of {} steps ends; raise decay_steps, or set it to 0 to "
        "decay until the last step",
        kind, schedule.decay_steps, schedule.warmup_steps);
}

void check_tensor(const ConfigChecker& check, const RunConfig& run) {
    const ModelConfig& model = run.model;
    const std::int64_t tensor = run.parallel.tensor;
    const std::int64_t groups = model.kv_heads > 0 ? model.kv_heads : model.heads;
    check.refuse_if(
        tensor > groups, {"parallel.tensor", "model.kv_heads", "model.heads"},
        "{} tensor-parallel ranks for {} key/value heads: each rank needs at least one key/value head; use at most "
        "{} ranks",
        tensor, groups, groups);
    check.refuse_if(
        groups % tensor != 0, {"parallel.tensor", "model.kv_heads", "model.heads"},
        "{} key/value heads cannot be divided evenly among {} tensor-parallel ranks; use a divisor, such as {}", groups,
        tensor, std::gcd(groups, tensor));
    check.refuse_if(
        model.ffn_size < tensor || model.vocab_size < tensor, {"parallel.tensor", "model.ffn_size", "model.vocab_size"},
        "{} tensor-parallel ranks for {} feed-forward columns and a vocabulary of {} tokens: some ranks would hold "
        "no columns or no tokens; use fewer ranks",
        tensor, model.ffn_size, model.vocab_size);
}

void check_pipeline(const ConfigChecker& check, const RunConfig& run) {
    const ParallelConfig& parallel = run.parallel;
    const std::int64_t stages = parallel.pipeline * parallel.virtual_chunks;  // model chunks
    check.refuse_if(
        parallel.pipeline > 1 && stages > run.model.layers,
        {"parallel.pipeline", "parallel.virtual_chunks", "model.layers"},
        "{} layers cannot be divided among {} stages (pipeline x virtual_chunks), because each stage needs at least "
        "one layer; use at most {} stages",
        run.model.layers, stages, run.model.layers);
    // The number of micro-batches depends on the number of ranks; check_for_world checks it against the schedule.
    const PipelineShape shape{.schedule = parallel.schedule,
                              .stages = int(parallel.pipeline),
                              .chunks = int(parallel.virtual_chunks),
                              .micro_batches = parallel.pipeline};
    const std::string why = parallel.pipeline > 1 ? why_impossible(shape) : "";
    check.refuse_if(!why.empty(), {"parallel.schedule", "parallel.virtual_chunks", "parallel.pipeline"}, "{}", why);
    if (parallel.stage_layers != "auto") {
        const std::vector<std::int64_t> counts = parse_stage_layers(parallel.stage_layers);
        check.refuse_if(counts.empty(), {"parallel.stage_layers"},
                        "found {}, expected auto or the number of layers of each stage, such as 4,4,3",
                        quote_found(parallel.stage_layers));
        check.refuse_if(std::int64_t(counts.size()) != stages,
                        {"parallel.stage_layers", "parallel.pipeline", "parallel.virtual_chunks"},
                        "found layer counts for {} stages, expected counts for {} x {} = {} stages", counts.size(),
                        parallel.pipeline, parallel.virtual_chunks, stages);
        const std::int64_t sum = std::accumulate(counts.begin(), counts.end(), std::int64_t(0));
        check.refuse_if(sum != run.model.layers, {"parallel.stage_layers", "model.layers"},
                        "the stages have {} layers together, expected {}", sum, run.model.layers);
    }
    check.refuse_if(
        parallel.schedule == PipelineSchedule::zb_h1 && parallel.recompute != Recompute::none,
        {"parallel.recompute", "parallel.schedule"},
        "zb_h1 keeps all activations for its delayed weight gradients, so it cannot recompute them; use 1f1b with "
        "recompute, or recompute: none");
}

void check_parallel(const ConfigChecker& check, const RunConfig& run) {
    check_tensor(check, run);
    check_pipeline(check, run);
    const std::int64_t global = run.training.global_batch_size;
    const std::int64_t micro = run.training.micro_batch_size;
    check.refuse_if(global % micro != 0, {"training.global_batch_size", "training.micro_batch_size"},
                    "{} samples per step are not a whole number of micro-batches of {} samples; use {}", global, micro,
                    multiples_near(global, micro));
}

void check_compute(const ConfigChecker& check, const RunConfig& run) {
    check.refuse_if(run.compute.device == DeviceKind::cuda && !cuda::built(), {"compute.device"},
                    "found cuda, but this gpas was built without CUDA; write auto or cpu, or use a build with CUDA");
    const std::string& resume = run.checkpoint.resume;
    check.refuse_if(resume.empty() || resume == "none" || resume == "no" || resume == "false" || resume == "off",
                    {"checkpoint.resume"}, "found {}, expected auto, never or the path of a checkpoint; write never",
                    quote_found(resume));
    check.refuse_if(resume == "true" || resume == "yes" || resume == "on" || resume == "latest", {"checkpoint.resume"},
                    "found {}, expected auto, never or the path of a checkpoint; write auto", quote_found(resume));
}

}  // namespace

void check_config(const LoadedConfig& config) {
    const ConfigChecker check(config);
    const RunConfig& run = config.values;
    check_run(check, run);
    check_effects(check, run);
    check_model(check, run.model);
    check_gates(check, run);
    check_data(check, run);
    check_tasks(check, run);
    check_steps(check, run);
    check_profile(check, run);
    check_schedule(check, run);
    check_parallel(check, run);
    check_compute(check, run);
}

void check_for_training(const LoadedConfig& config) {
    ConfigChecker(config).refuse_if(config.values.data.train.empty(), {"data.train"},
                                    "found no training data, expected the prefix of a .bin/.idx pair; make one with "
                                    "`gpas prepare` and write data.train=PREFIX");
}

MeshSize mesh_of_ranks(const LoadedConfig& config, std::int64_t ranks) {
    const ConfigChecker check(config);
    const ParallelConfig& parallel = config.values.parallel;
    const std::int64_t inner = parallel.tensor * parallel.pipeline;
    check.refuse_if(ranks % inner != 0, {"parallel.tensor", "parallel.pipeline"},
                    "{} ranks were started, expected a multiple of tensor x pipeline = {}; change the number of ranks",
                    ranks, inner);
    const std::int64_t data = ranks / inner;
    check.refuse_if(parallel.data > 0 && parallel.data != data,
                    {"parallel.data", "parallel.tensor", "parallel.pipeline"},
                    "expected {} data-parallel ranks, but {} ranks were started, which makes a data-parallel size of "
                    "{}; start {} ranks, or set "
                    "parallel.data to 0",
                    parallel.data, ranks, data, parallel.data * inner);
    return {.tensor = int(parallel.tensor), .data = int(data), .pipeline = int(parallel.pipeline)};
}

void check_memory(const LoadedConfig& config, std::int64_t needed_bytes, std::int64_t device_bytes) {
    check_memory(config, needed_bytes, device_bytes,
                 fmt::format("a rank needs {}, but its device has {}", bytes_text(double(needed_bytes)),
                             bytes_text(double(device_bytes))));
}

void check_memory(const LoadedConfig& config, std::int64_t needed_bytes, std::int64_t there_bytes,
                  const std::string& what) {
    ConfigChecker(config).refuse_if(
        needed_bytes > there_bytes,
        {"training.micro_batch_size", "parallel.recompute", "parallel.tensor", "parallel.pipeline"},
        "{}; use a smaller micro-batch, recompute: full, or more "
        "tensor-parallel ranks or pipeline stages (gpas plan --search finds layouts that fit)",
        what);
}

MeshSize check_for_world(const LoadedConfig& config, std::int64_t ranks) {
    const MeshSize mesh = mesh_of_ranks(config, ranks);
    const ConfigChecker check(config);
    const RunConfig& run = config.values;
    const std::int64_t global = run.training.global_batch_size;
    const std::int64_t micro = run.training.micro_batch_size;
    const std::int64_t at_once = micro * mesh.data;
    check.refuse_if(
        global % at_once != 0, {"training.global_batch_size", "training.micro_batch_size"},
        "{} data-parallel ranks with micro-batches of {} take {} samples at a time, which does not divide the global "
        "batch of {}; use a global batch of {}, or another micro-batch size",
        mesh.data, micro, at_once, global, multiples_near(global, at_once));
    const std::string why = why_impossible({.schedule = run.parallel.schedule,
                                            .stages = mesh.pipeline,
                                            .chunks = int(run.parallel.virtual_chunks),
                                            .micro_batches = global / at_once});
    check.refuse_if(
        !why.empty(),
        {"training.global_batch_size", "training.micro_batch_size", "parallel.schedule", "parallel.pipeline"}, "{}",
        why);
    return mesh;
}

}  // namespace gpas
