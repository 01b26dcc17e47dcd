#include "io/config/no_effect.hpp"

#include "base/join_names.hpp"
#include "io/config/architecture.hpp"
#include "io/config/enum_names.hpp"
#include "io/config/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

namespace gpas {
namespace {

class Rules {
public:
    std::vector<NoEffect> found;

    // Adds keys without effect, if `holds`.
    void add(bool holds, std::initializer_list<const char*> keys, std::vector<const char*> because_of,
             const std::string& why) {
        if (!holds) return;
        for (const char* key : keys) found.push_back({key, because_of, why});
    }
    // As add(), for keys that the run prints instead of refusing the configuration.
    void warn(bool holds, std::initializer_list<const char*> keys, std::vector<const char*> because_of,
              const std::string& why) {
        const std::size_t first = found.size();
        add(holds, keys, std::move(because_of), why);
        for (std::size_t i = first; i < found.size(); ++i) found[i].warned = true;
    }
};

// "lns and lns_gpas"
std::string architectures_that(bool (*have_it)(Architecture)) {
    std::vector<std::string> names;
    for (const EnumName<Architecture>& entry : enum_names<Architecture>())
        if (have_it(entry.value)) names.emplace_back(entry.name);
    return join_names(names, " and ");
}

// Whether s(g) = 0 and ds/dg = 0 at the initial g: the gradient of such a gate is 0, so the gate never changes.
bool is_closed_for_good(const GateConfig& gate) { return gate.function == GateFunction::relu && gate.init <= 0.0; }

void add_gate_rules(Rules& rules, const RunConfig& run) {
    const GateConfig& gate = run.model.gate;
    const bool gateless = !has_gates(run.model.architecture);
    const std::string no_gates = fmt::format("architecture {} has no gates", name_of(run.model.architecture));
    if (gateless) {
        for (const KeySpec& key : config_keys())
            if (key.section == "model.gate") rules.add(true, {key.name.c_str()}, {"model.architecture"}, no_gates);
        return rules.add(true, {"optimizer.clip_gate_grad"}, {"model.architecture"}, no_gates);
    }
    rules.add(gate.frozen, {"optimizer.clip_gate_grad"}, {"model.gate.frozen"},
              "frozen gates have no gradient to clip");
    const bool scaled = gate.function == GateFunction::scaled_silu || gate.function == GateFunction::leaky_relu;
    rules.add(!scaled, {"model.gate.scale"}, {"model.gate.function"},
              fmt::format("{} has no scale", name_of(gate.function)));

    const bool from_file = !run.checkpoint.init_from.empty();  // the gates of the checkpoint may have any value
    const bool closed = !from_file && gate.frozen && (gate.init == 0.0 || is_closed_for_good(gate));
    rules.add(closed, {"model.gate.stop_gradient"}, {"model.gate.frozen", "model.gate.init"},
              "gates that are frozen at s(g) = 0 scale nothing");
    rules.add(closed && gate.init == 0.0, {"model.gate.function"}, {"model.gate.frozen", "model.gate.init"},
              "gates that are frozen at 0 scale nothing, with any function");
    rules.add(!from_file && !gate.frozen && is_closed_for_good(gate), {"model.gate.stop_gradient"},
              {"model.gate.function", "model.gate.init"},
              "relu is 0 for init <= 0 and has no gradient, so the gates never open");
    rules.add(!from_file && is_closed_for_good(gate), {"model.gate.frozen"}, {"model.gate.function", "model.gate.init"},
              "relu is 0 for init <= 0 and has no gradient, so the gates never change");
}

void add_model_rules(Rules& rules, const RunConfig& run) {
    const ModelConfig& model = run.model;
    const std::string_view architecture = name_of(model.architecture);
    rules.add(model.rope_scaling.factor == 1.0,
              {"model.rope_scaling.low_freq_factor", "model.rope_scaling.high_freq_factor",
               "model.rope_scaling.original_length"},
              {"model.rope_scaling.factor"}, "factor: 1 scales no frequency");
    rules.add(!mixes_norms(model.architecture), {"model.mix_post_layers"}, {"model.architecture"},
              fmt::format("only {} mix norms, not {}", architectures_that(mixes_norms), architecture));
    rules.add(!scales_norms(model.architecture), {"model.lns"}, {"model.architecture"},
              fmt::format("only {} scale by 1/sqrt(l), not {}", architectures_that(scales_norms), architecture));
    rules.add(has_deepnorm_init(model.architecture), {"model.output_init"}, {"model.architecture"},
              fmt::format("{} has DeepNorm's own initialisation", architecture));
    rules.warn(model.sliding_window >= run.data.sequence_length, {"model.sliding_window"}, {"data.sequence_length"},
               fmt::format("no sample has more than data.sequence_length = {} tokens", run.data.sequence_length));
    rules.warn(!run.checkpoint.init_from.empty(),
               {"model.init_std", "model.embedding_init", "model.output_init", "model.gate.init"},
               {"checkpoint.init_from"}, "checkpoint.init_from provides the initial weights");
}

void add_data_rules(Rules& rules, const RunConfig& run) {
    rules.add(run.data.mode == SampleMode::padded, {"data.mask_documents"}, {"data.mode"},
              "a padded sample contains one document");
    rules.add(run.data.mode == SampleMode::packed, {"data.truncated_end"}, {"data.mode"},
              "packed samples do not truncate documents");
    rules.add(run.data.mode == SampleMode::packed && !run.data.mask_documents, {"training.loss_mean"},
              {"data.mode", "data.mask_documents"}, "every packed micro-batch has the same number of loss tokens");
    rules.add(run.training.micro_batch_size == run.training.global_batch_size, {"training.loss_mean"},
              {"training.micro_batch_size", "training.global_batch_size"}, "a step has one micro-batch");
    rules.add(!run.data.valid.empty() && run.data.valid_fraction > 0, {"data.valid_fraction"}, {"data.valid"},
              "data.valid provides the held-out tokens");
}

void add_optimizer_rules(Rules& rules, const RunConfig& run) {
    const OptimizerConfig& optimizer = run.optimizer;
    rules.add(optimizer.learning_rate == 0.0, {"optimizer.weight_decay"}, {"optimizer.learning_rate"},
              "weight decay is multiplied by the learning rate, which is 0");
    rules.add(optimizer.weight_decay == 0.0, {"optimizer.decay_norms", "optimizer.decay_embeddings"},
              {"optimizer.weight_decay"}, "weight_decay: 0 decays nothing");
}

void add_schedule_rules(Rules& rules, const RunConfig& run) {
    const ScheduleConfig& schedule = run.schedule;
    const bool wsd = schedule.kind == ScheduleKind::wsd;
    const bool decays = schedule.kind == ScheduleKind::linear || schedule.kind == ScheduleKind::cosine;
    const std::string no_phase = fmt::format("a {} schedule has no such phase", name_of(schedule.kind));
    rules.add(!wsd && !decays, {"schedule.decay_steps"}, {"schedule.kind"}, no_phase);
    rules.add(!wsd, {"schedule.wsd_decay"}, {"schedule.kind"}, no_phase);
    rules.add(schedule.kind == ScheduleKind::constant, {"schedule.min_ratio"}, {"schedule.kind"},
              "a constant schedule never decays");
    rules.add(schedule.kind == ScheduleKind::constant && schedule.warmup_steps == 0, {"schedule.first_step"},
              {"schedule.kind", "schedule.warmup_steps"},
              "a constant schedule without warm-up is the same at every step");
    rules.add(schedule.warmup_steps == 0, {"schedule.initial_ratio"}, {"schedule.warmup_steps"}, "there is no warm-up");
    rules.add(schedule.warmup_steps > 0 && schedule.warmup_steps == run.training.steps,
              {"schedule.kind", "schedule.min_ratio", "schedule.decay_steps"},
              {"schedule.warmup_steps", "training.steps"}, "the warm-up takes all steps of the run");
}

void add_guard_rules(Rules& rules, const RunConfig& run) {
    using OnBad = TrainingConfig::OnBadNumbers;
    const OnBad on_bad = run.training.on_bad_numbers;
    const GuardConfig& guard = run.guard;
    rules.add(on_bad != OnBad::skip && guard.on_spike != GuardConfig::OnSpike::skip, {"training.max_skipped_steps"},
              {"training.on_bad_numbers", "guard.on_spike"}, "neither on_bad_numbers nor on_spike skips a step");
    rules.add(guard.spike_sigmas == 0.0, {"guard.spike_window", "guard.spike_gradient", "guard.on_spike"},
              {"guard.spike_sigmas"}, "spike_sigmas: 0 looks for no spikes");
    rules.add(guard.weights_every == 0, {"guard.on_different_weights"}, {"guard.weights_every"},
              "weights_every: 0 compares no weights");
    const bool different_rolls_back =
        guard.weights_every > 0 && guard.on_different_weights == GuardConfig::OnDifferentWeights::roll_back;
    rules.add(on_bad != OnBad::roll_back && guard.on_spike != GuardConfig::OnSpike::roll_back && !different_rolls_back,
              {"guard.max_roll_backs"}, {"training.on_bad_numbers", "guard.on_spike", "guard.on_different_weights"},
              "nothing is set to roll_back");
    rules.add(run.watch.straggler_factor == 0.0, {"watch.straggler_steps"}, {"watch.straggler_factor"},
              "straggler_factor: 0 looks for no stragglers");
}

void add_parallel_rules(Rules& rules, const RunConfig& run) {
    rules.warn(run.compute.device == DeviceKind::cpu, {"parallel.share_gpu"}, {"compute.device"},
               "compute.device is cpu");
    rules.add(run.parallel.tensor == 1, {"parallel.sequence_parallel"}, {"parallel.tensor"},
              "there is one tensor-parallel rank");
    rules.add(run.parallel.tensor == 1, {"parallel.tensor_overlap"}, {"parallel.tensor"},
              "there is one tensor-parallel rank");
    rules.add(run.parallel.tensor > 1 && !run.parallel.sequence_parallel, {"parallel.tensor_overlap"},
              {"parallel.sequence_parallel"}, "tensor_overlap needs sequence_parallel: true");
    rules.add(run.parallel.pipeline == 1, {"parallel.schedule", "parallel.virtual_chunks", "parallel.stage_layers"},
              {"parallel.pipeline"}, "there is one pipeline stage");
}

void add_record_rules(Rules& rules, const RunConfig& run) {
    const std::string& resume = run.checkpoint.resume;
    rules.add(run.evaluation.every == 0, {"evaluation.tasks"}, {"evaluation.every"}, "there are no evaluations");
    rules.add(run.checkpoint.keep_last == 0, {"checkpoint.keep_every"}, {"checkpoint.keep_last"},
              "keep_last: 0 keeps every checkpoint");
    rules.add(resume != "auto" && resume != "never", {"checkpoint.init_from"}, {"checkpoint.resume"},
              "the run resumes from the checkpoint that checkpoint.resume names");
    rules.add(!run.metrics.jsonl && !run.metrics.tensorboard, {"metrics.gpas_every"},
              {"metrics.jsonl", "metrics.tensorboard"}, "neither file is written");
    rules.warn(run.compute.device == DeviceKind::cpu, {"metrics.nvtx", "metrics.profile.from", "metrics.profile.to"},
               {"compute.device"}, "NVTX and the CUDA profiler record GPU work, and compute.device is cpu");
}

bool is_default(const KeySpec& key, const RunConfig& run) { return format_key(key, run) == default_of(key); }

}  // namespace

std::vector<NoEffect> keys_without_effect(const RunConfig& run) {
    Rules rules;
    add_gate_rules(rules, run);
    add_model_rules(rules, run);
    add_data_rules(rules, run);
    add_optimizer_rules(rules, run);
    add_schedule_rules(rules, run);
    add_guard_rules(rules, run);
    add_parallel_rules(rules, run);
    add_record_rules(rules, run);
    return std::move(rules.found);
}

RunConfig without_ineffective_keys(const RunConfig& run) {
    RunConfig result = run;
    for (const NoEffect& rule : keys_without_effect(run)) {
        const KeySpec& key = *find_key(rule.key);
        if (!rule.warned) key.set(result, key.get(RunConfig{}));
    }
    return result;
}

std::vector<std::string> lines_about_ineffective_keys(const RunConfig& run) {
    std::vector<std::string> lines;
    for (const NoEffect& rule : keys_without_effect(run)) {
        const KeySpec& key = *find_key(rule.key);
        if (rule.warned && !is_default(key, run))
            lines.push_back(fmt::format("{} = {} has no effect: {}", key.name, format_key(key, run), rule.why));
    }
    return lines;
}

}  // namespace gpas
