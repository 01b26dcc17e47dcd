#include "engine/training/step.hpp"

#include "engine/training/schedule.hpp"
#include "engine/training/stopwatch.hpp"

#include <algorithm>
#include <cmath>

namespace gpas {
namespace {

// As PyTorch and Megatron: an exact max_norm would divide by zero for a zero gradient.
double clip_factor(double max_norm, double norm) {
    return max_norm > 0.0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace

TrainingStep::TrainingStep(const RunConfig& config, Replica& replica, const SampleStream& samples,
                           Communicator& data_group)
    : config_(config),
      replica_(replica),
      samples_(samples),
      data_group_(data_group),
      micro_batches_(config.training.global_batch_size / (config.training.micro_batch_size * data_group.size())) {
    require(micro_batches_ * config.training.micro_batch_size * data_group.size() == config.training.global_batch_size,
            "global batch of {} samples over {} ranks in micro-batches of {}", config.training.global_batch_size,
            data_group.size(), config.training.micro_batch_size);
}

TrainingStep::Sums TrainingStep::forward_backward(std::int64_t step, PhaseSeconds& seconds) {
    const std::int64_t micro = config_.training.micro_batch_size;
    Stopwatch watch;
    Sums sums;
    fill(replica_.context, replica_.store.all_gradients(), 0.0F);
    seconds.compute += watch.lap();
    for (std::int64_t i = 0; i < micro_batches_; ++i) {
        const std::int64_t chunk = i * data_group_.size() + data_group_.rank();
        samples_.fill(batch_, step * config_.training.global_batch_size + chunk * micro, micro);
        seconds.data += watch.lap();
        // Sums, not means: what divides them is the number of tokens of the whole global batch.
        sums.loss +=
            replica_.model.loss_and_backward(replica_.context, rows_of(batch_, config_.data.mask_documents), 1.0F);
        sums.tokens += batch_.loss_tokens;
        seconds.compute += watch.lap();
    }
    return sums;
}

void TrainingStep::reduce(Sums& sums, PhaseSeconds& seconds) {
    Stopwatch watch;
    data_group_.all_reduce(replica_.store.all_gradients(), ReduceOp::sum, "gradients");
    data_group_.all_reduce(&sums.loss, 1, ReduceOp::sum, "loss");
    data_group_.all_reduce(&sums.tokens, 1, ReduceOp::sum, "loss tokens");
    seconds.communication += watch.lap();
}

void TrainingStep::measure_gradients(StepResult& result) {
    const ParameterStore& store = replica_.store;
    const double tokens = double(std::max<std::int64_t>(result.loss_tokens, 1));
    result.gradient_norm = std::sqrt(squared_norm(replica_.context, store.all_gradients())) / tokens;
    double gates = 0.0;
    for (std::size_t i = 0; i < store.specs().size(); ++i)
        if (store.specs()[i].kind == ParameterKind::gate) gates += squared_norm(replica_.context, store.gradient(i));
    result.gate_gradient_norm = std::sqrt(gates) / tokens;
}

void TrainingStep::update_weights(StepResult& result, std::int64_t update) {
    const OptimizerConfig& optimizer = config_.optimizer;
    ParameterStore& store = replica_.store;
    const double clip = clip_factor(optimizer.clip_grad, result.gradient_norm);
    const double gate_clip = clip_factor(optimizer.clip_gate_grad, clip * result.gate_gradient_norm);
    const double mean = 1.0 / double(std::max<std::int64_t>(result.loss_tokens, 1));
    result.clipped = clip < 1.0;
    result.gates_clipped = gate_clip < 1.0;

    AdamwStep adam{.learning_rate = result.learning_rate,
                   .beta1 = optimizer.beta1,
                   .beta2 = optimizer.beta2,
                   .epsilon = optimizer.epsilon,
                   .step = update};
    for (std::size_t i = 0; i < store.specs().size(); ++i) {
        const ParameterSpec& spec = store.specs()[i];
        if (!spec.trainable) continue;
        adam.weight_decay = spec.decayed ? optimizer.weight_decay : 0.0;
        adam.grad_factor = mean * clip * (spec.kind == ParameterKind::gate ? gate_clip : 1.0);
        adamw(replica_.context, store.master(i), store.adam_m(i), store.adam_v(i),
              store.has_compute_copy() ? store.compute(i) : Tensor{}, store.gradient(i), adam);
    }
}

std::string TrainingStep::local_trouble(std::int64_t step) {
    ParameterStore& store = replica_.store;
    const auto bad = [&](const char* what, auto tensor_of) -> std::string {
        for (std::size_t i = 0; i < store.specs().size(); ++i) {
            const Tensor tensor = tensor_of(i);
            const std::int64_t element = first_non_finite(replica_.context, tensor);
            if (element >= 0)
                return fmt::format("{} of {} is {} at element {}", what, store.specs()[i].name,
                                   tensor.as<float>()[element], element);
        }
        return {};
    };
    if (std::string text = bad("the weight", [&](std::size_t i) { return store.master(i); }); !text.empty())
        return text;
    PhaseSeconds unused;
    const Sums sums = forward_backward(step, unused);
    // Backward order: the last layer first, where the trouble started.
    std::string text = bad("the gradient", [&](std::size_t i) { return store.gradient(store.specs().size() - 1 - i); });
    if (!std::isfinite(sums.loss)) text = fmt::format("the loss is {}{}{}", sums.loss, text.empty() ? "" : "; ", text);
    return text;
}

std::string TrainingStep::find_trouble(std::int64_t step) {
    std::string text = local_trouble(step);
    std::int64_t first = text.empty() ? data_group_.size() : data_group_.rank();
    data_group_.all_reduce(&first, 1, ReduceOp::min, "the rank with bad numbers");
    if (first == data_group_.size()) return "only in the sum over ranks: a gradient overflowed fp32";
    broadcast(data_group_, text, int(first), "the tensor with bad numbers");
    return fmt::format("rank {}: {}", first, text);
}

StepResult TrainingStep::run(std::int64_t step, std::int64_t update, bool with_stream_moments) {
    StepResult result;
    result.learning_rate =
        learning_rate(config_.schedule, config_.optimizer.learning_rate, config_.training.steps, step + 1);
    Sums sums = forward_backward(step, result.seconds);
    reduce(sums, result.seconds);
    result.loss_tokens = sums.tokens;
    result.loss = sums.loss / double(std::max<std::int64_t>(sums.tokens, 1));

    Stopwatch watch;
    measure_gradients(result);
    if (with_stream_moments) result.stream = replica_.model.stream_moments(replica_.context);
    if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
        result.trouble = find_trouble(step);
        if (config_.training.on_bad_numbers == TrainingConfig::OnBadNumbers::stop)
            fail(
                ExitCode::bad_numbers,
                "step {}: loss {}, gradient norm {}: {}; lower optimizer.learning_rate or set optimizer.clip_grad, and "
                "resume from the last checkpoint (training.on_bad_numbers=skip passes over such steps)",
                step + 1, result.loss, result.gradient_norm, result.trouble);
        result.skipped = true;
    } else {
        update_weights(result, update);
    }
    result.seconds.optimizer += watch.lap();
    return result;
}

}  // namespace gpas
