#include "engine/run/step_records.hpp"

namespace gpas {

StepMetrics step_record(const RunConfig& config, const Progress& progress, const StepResult& result,
                        const StepFacts& facts) {
    return {.step = progress.step,
            .steps_total = config.training.steps,
            .consumed_samples = progress.consumed_samples,
            .consumed_tokens = progress.consumed_tokens,
            .loss_tokens = result.loss_tokens,
            .loss = result.loss,
            .learning_rate = result.learning_rate,
            .gradient_norm = result.gradient_norm,
            .gate_gradient_norm = result.gate_gradient_norm,
            .clipped = result.clipped,
            .gates_clipped = result.gates_clipped,
            .skipped = result.action != StepAction::update,
            .tokens = config.training.global_batch_size * config.data.sequence_length,
            .flops = flops_per_token(config.model, config.data.sequence_length),
            .peak_flops = facts.peak_flops,
            .seconds = {.data = result.seconds.data,
                        .compute = result.seconds.compute,
                        .communication = result.seconds.communication,
                        .optimizer = result.seconds.optimizer,
                        .evaluation = facts.waits.evaluation,
                        .checkpoint = facts.waits.checkpoint},
            .seconds_left = facts.seconds_left,
            .arena_bytes = facts.arena_bytes,
            .resident_bytes = resident_bytes()};
}

GpasMetrics gpas_view(const RunConfig& config, std::int64_t step, const StepResult& result) {
    GpasMetrics view{.step = step};
    std::size_t gate = 0;
    for (const ParameterSpec& spec : parameter_specs(config.model, config.optimizer)) {
        if (spec.kind != ParameterKind::gate) continue;
        const double raw = double(result.gates[gate++]);
        const bool own = config.model.gate.per_sublayer;
        const char* site = !own ? "layer" : spec.name.find(".mlp.") != std::string::npos ? "mlp" : "attention";
        view.gates.push_back({.layer = spec.layer,
                              .site = site,
                              .raw = raw,
                              .value = gate_value(config.model.gate.function, raw, config.model.gate.scale)});
    }
    for (std::size_t i = 0; i < result.stream.size(); ++i)
        view.variances.push_back({.layer = std::int64_t(i / 2),
                                  .site = i % 2 == 0 ? "attention" : "mlp",
                                  .variance = result.stream[i].variance()});
    return view;
}

StepRecords::StepRecords(const RunConfig& config, RunOutputs& outputs, Watcher* watcher)
    : config_(config),
      outputs_(outputs),
      watcher_(watcher),
      stragglers_(config.watch.straggler_factor, config.watch.straggler_steps) {}

void StepRecords::write(const Progress& progress, const StepResult& result, const StepFacts& facts) {
    if (!outputs_.writes()) return;
    outputs_.write(step_record(config_, progress, result, facts));
    if (!result.stream.empty()) outputs_.write(gpas_view(config_, progress.step, result));
    for (const EventMetrics& event : result.events) outputs_.write(event);
    if (watcher_ == nullptr || !stragglers_.is_due(progress.step)) return;
    for (const Straggler& slow : stragglers_.find(watcher_->ranks()))
        outputs_.write(EventMetrics{.step = progress.step, .event = "straggler", .rank = slow.rank, .text = slow.text});
}

}  // namespace gpas
