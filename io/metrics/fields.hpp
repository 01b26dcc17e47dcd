// Lists the scalars of steps and evaluations, each with its key in JSON and its tag in TensorBoard. Internal to
// io/metrics.
#pragma once

#include "io/metrics/metrics.hpp"

namespace gpas {

// As below, without tags: TensorBoard's tag contains the name of the task.
template <class Visit>
void for_each_scalar(const TaskMetrics& m, Visit&& visit) {
    visit("questions", m.questions);
    visit("acc", m.acc.value);
    visit("acc_stderr", m.acc.standard_error);
    visit("acc_norm", m.acc_norm.value);
    visit("acc_norm_stderr", m.acc_norm.standard_error);
    visit("acc_bytes", m.acc_bytes.value);
    visit("acc_bytes_stderr", m.acc_bytes.standard_error);
    visit("bits_per_byte", m.bits_per_byte);
    visit("seconds", m.seconds);
}

// Calls visit(JSON key, TensorBoard tag, value) for each scalar; value is std::int64_t, double or bool.
template <class Visit>
void for_each_scalar(const StepMetrics& m, Visit&& visit) {
    visit("consumed_samples", "consumed/samples", m.consumed_samples);
    visit("consumed_tokens", "consumed/tokens", m.consumed_tokens);
    visit("loss_tokens", "train/loss_tokens", m.loss_tokens);
    const bool measured = m.loss_tokens > 0;
    if (measured) visit("loss", "train/loss", m.loss);
    if (measured) visit("perplexity", "train/perplexity", m.perplexity());
    visit("learning_rate", "train/learning_rate", m.learning_rate);
    if (measured) visit("gradient_norm", "train/gradient_norm", m.gradient_norm);
    if (measured) visit("gate_gradient_norm", "train/gate_gradient_norm", m.gate_gradient_norm);
    visit("clipped", "train/clipped", m.clipped);
    visit("gates_clipped", "train/gates_clipped", m.gates_clipped);
    visit("skipped", "train/skipped", m.skipped);
    visit("tokens_per_second", "speed/tokens_per_second", m.tokens_per_second());
    visit("flops_megatron", "speed/flops_megatron", m.flops_megatron());
    visit("flops_full", "speed/flops_full", m.flops_full());
    visit("mfu_megatron", "speed/mfu_megatron", m.mfu_megatron());
    visit("mfu_full", "speed/mfu_full", m.mfu_full());
    visit("peak_flops", "speed/peak_flops", m.peak_flops);
    visit("seconds_data", "seconds/data", m.seconds.data);
    visit("seconds_compute", "seconds/compute", m.seconds.compute);
    visit("seconds_communication", "seconds/communication", m.seconds.communication);
    visit("seconds_optimizer", "seconds/optimizer", m.seconds.optimizer);
    visit("seconds_evaluation", "seconds/evaluation", m.seconds.evaluation);
    visit("seconds_checkpoint", "seconds/checkpoint", m.seconds.checkpoint);
    visit("seconds_total", "seconds/total", m.seconds.total());
    if (m.seconds_left >= 0) visit("seconds_left", "seconds/left", m.seconds_left);
    visit("arena_bytes", "memory/arena_bytes", m.arena_bytes);
    visit("resident_bytes", "memory/resident_bytes", m.resident_bytes);
}

template <class Visit>
void for_each_scalar(const EvalMetrics& m, Visit&& visit) {
    if (m.tokens > 0) visit("loss", "eval/loss", m.loss);
    if (m.tokens > 0) visit("perplexity", "eval/perplexity", m.perplexity());
    visit("tokens", "eval/tokens", m.tokens);
    visit("seconds", "eval/seconds", m.seconds);
}

}  // namespace gpas
