#include "engine/training/step.hpp"

#include "engine/training/schedule.hpp"
#include "engine/training/stopwatch.hpp"
#include "kernels/error.hpp"

#include <algorithm>
#include <cmath>

namespace gpas {
namespace {

// As PyTorch and Megatron: an exact max_norm would divide by zero for a zero gradient.
double clip_factor(double max_norm, double norm) {
    return max_norm > 0.0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

// Within forward and backward: for tensor-parallel ranks, neighbouring stages, and buckets of gradients.
double waited_seconds(const Mesh& mesh) {
    return mesh.tensor->waited_seconds() + mesh.pipeline_forward->waited_seconds() +
           mesh.pipeline_backward->waited_seconds() + mesh.data->waited_seconds();
}

}  // namespace

TrainingStep::TrainingStep(const RunConfig& config, Replica& replica, const SampleStream& samples, Mesh& mesh)
    : config_(config),
      replica_(replica),
      samples_(samples),
      mesh_(mesh),
      micro_batches_(pipeline_shape(config, mesh.size).micro_batches),
      batches_(std::size_t(micro_batches_)),
      pipeline_(replica, mesh, pipeline_shape(config, mesh.size)),
      sync_(replica, mesh) {
    require(micro_batches_ * config.training.micro_batch_size * mesh.size.data == config.training.global_batch_size,
            "global batch of {} samples over {} ranks in micro-batches of {}", config.training.global_batch_size,
            mesh.size.data, config.training.micro_batch_size);
}

// All ranks of one pipeline, and of one tensor-parallel group, read the same samples.
void TrainingStep::load_batches(std::int64_t step) {
    const std::int64_t micro = config_.training.micro_batch_size;
    for (std::int64_t i = 0; i < micro_batches_; ++i) {
        const std::int64_t chunk = i * mesh_.size.data + mesh_.place.data;
        samples_.fill(batches_[std::size_t(i)], step * config_.training.global_batch_size + chunk * micro, micro);
    }
}

// Σ of the losses this rank computed. Sums, not means: what divides them is the number of tokens of the global batch.
double TrainingStep::forward_backward(std::int64_t step, std::vector<Moments>* moments, bool reduce) {
    fill(replica_.context, replica_.store.all_gradients(), 0.0F);
    Model::LayerDone done;
    if (reduce) done = [this](std::int64_t layer) { sync_.layer_done(layer); };
    return pipeline_.train({.batches = batches_,
                            .mask_documents = config_.data.mask_documents,
                            .moments = moments,
                            .step = step + 1,
                            .done = done});
}

TrainingStep::Sums TrainingStep::sum_over_ranks(double loss, bool vote) {
    double sums[3] = {0.0, 0.0, vote ? 1.0 : 0.0};
    if (mesh_.last_stage() && mesh_.place.tensor == 0) {  // tensor-parallel ranks have the same loss
        sums[0] = loss;
        for (const Batch& batch : batches_) sums[1] += double(batch.loss_tokens);
    }
    mesh_.world->all_reduce(sums, 3, ReduceOp::sum, "loss");
    return {.loss = sums[0], .tokens = sums[1], .all_agree = sums[2] == double(mesh_.world->size())};
}

void TrainingStep::measure_gradients(StepResult& result) {
    const ParameterStore& store = replica_.store;
    const Tensor sums = replica_.memory().work.squares;
    clear(replica_.context, sums);
    std::vector<Tensor> gradients[2];  // of all other parameters, of gates
    for (const OwnedPiece& piece : store.owned())
        if (piece.counted)
            gradients[store.specs()[piece.parameter].kind == ParameterKind::gate].push_back(piece.gradient);
    for (const int gates : {0, 1}) squared_norm(replica_.context, sums.slice(gates, gates + 1), gradients[gates]);
    double squares[2];
    copy(replica_.context, Tensor(squares, Dtype::fp64, {2}), sums);
    squares[0] += squares[1];
    mesh_.world->all_reduce(squares, 2, ReduceOp::sum, "squared gradient norm");
    const double tokens = double(std::max<std::int64_t>(result.loss_tokens, 1));
    result.gradient_norm = std::sqrt(squares[0]) / tokens;
    result.gate_gradient_norm = std::sqrt(squares[1]) / tokens;
}

void TrainingStep::update_weights(StepResult& result, std::int64_t update) {
    const OptimizerConfig& optimizer = config_.optimizer;
    ParameterStore& store = replica_.store;
    const double clip = clip_factor(optimizer.clip_grad, result.gradient_norm);
    const double gate_clip = clip_factor(optimizer.clip_gate_grad, clip * result.gate_gradient_norm);
    const double mean = 1.0 / double(std::max<std::int64_t>(result.loss_tokens, 1));
    result.clipped = clip < 1.0;
    result.gates_clipped = gate_clip < 1.0;

    const AdamwStep adam{.learning_rate = result.learning_rate,
                         .beta1 = optimizer.beta1,
                         .beta2 = optimizer.beta2,
                         .epsilon = optimizer.epsilon,
                         .step = update};
    std::vector<AdamwPiece> pieces;
    for (const OwnedPiece& piece : store.owned()) {
        const ParameterSpec& spec = store.specs()[piece.parameter];
        if (!spec.trainable) continue;
        pieces.push_back({.w = piece.w,
                          .m = piece.m,
                          .v = piece.v,
                          .compute = piece.compute,
                          .gradient = piece.gradient,
                          .weight_decay = spec.decayed ? optimizer.weight_decay : 0.0,
                          .grad_factor = mean * clip * (spec.kind == ParameterKind::gate ? gate_clip : 1.0)});
    }
    adamw(replica_.context, pieces, adam);
}

void TrainingStep::gather_stream(StepResult& result, const std::vector<Moments>& mine) {
    const std::size_t sites = std::size_t(2 * config_.model.layers);
    std::vector<double> values(3 * sites, 0.0);
    std::size_t next = 0;
    for (const ModelPart& part : replica_.shape().parts)
        for (std::int64_t site = 2 * part.layers.begin; site < 2 * part.layers.end; ++site) {
            const Moments& moments = mine[next++];
            const std::size_t at = 3 * std::size_t(site);
            values[at] = moments.sum;
            values[at + 1] = moments.sum_of_squares;
            values[at + 2] = double(moments.count);
        }
    const std::int64_t count = std::int64_t(values.size());
    if (replica_.shape().compute.sequence_parallel)
        mesh_.tensor->all_reduce(values.data(), count, ReduceOp::sum, "stream moments");
    mesh_.pipeline_forward->all_reduce(values.data(), count, ReduceOp::sum, "stream moments");
    for (std::size_t i = 0; i < sites; ++i)
        result.stream.push_back({values[3 * i], values[3 * i + 1], std::int64_t(values[3 * i + 2])});
}

void TrainingStep::gather_gates(StepResult& result) {
    const ParameterStore& store = replica_.store;
    std::vector<double> values;
    for (const ParameterSpec& spec : parameter_specs(config_.model, config_.optimizer)) {
        if (spec.kind != ParameterKind::gate) continue;
        float value = 0.0F;
        if (store.contains(spec.name))
            copy(replica_.context, Tensor(&value, Dtype::fp32, {1}), store.master(store.index_of(spec.name)));
        values.push_back(double(value));
    }
    mesh_.pipeline_forward->all_reduce(values.data(), std::int64_t(values.size()), ReduceOp::sum, "gates");
    result.gates.assign(values.begin(), values.end());
}

std::string TrainingStep::local_trouble(double loss) {
    const ParameterStore& store = replica_.store;
    const auto bad = [&](const char* what, std::size_t i, const Tensor& tensor, std::int64_t first) -> std::string {
        const std::int64_t element = first_non_finite(replica_.context, tensor);
        if (element < 0) return {};
        float value = 0.0F;
        copy(replica_.context, Tensor(&value, Dtype::fp32, {1}),
             tensor.view({tensor.elements()}).slice(element, element + 1));
        return fmt::format("{} of {} is {} at element {}", what, store.specs()[i].name, value, first + element);
    };
    for (const OwnedPiece& piece : store.owned()) {
        const std::string text = bad("the weight", piece.parameter, piece.w, piece.elements.begin);
        if (!text.empty()) return text;
    }
    // Backward order: the last layer first, where the trouble started.
    std::string text;
    for (std::size_t i = store.specs().size(); i-- > 0 && text.empty();)
        text = bad("the gradient", i, store.gradient(i), 0);
    if (std::isfinite(loss)) return text;
    return fmt::format("the loss is {}{}{}", loss, text.empty() ? "" : "; ", text);
}

std::string TrainingStep::find_trouble(std::int64_t step) {
    std::string text = local_trouble(forward_backward(step, nullptr, false));
    std::int64_t first = text.empty() ? mesh_.world->size() : mesh_.world->rank();
    mesh_.world->all_reduce(&first, 1, ReduceOp::min, "the rank with bad numbers");
    if (first == mesh_.world->size()) return "only in the sum over ranks: a gradient overflowed fp32";
    broadcast(*mesh_.world, text, int(first), "the tensor with bad numbers");
    return fmt::format("rank {}: {}", first, text);
}

StepResult TrainingStep::run(std::int64_t step, std::int64_t update, bool with_gpas_view, bool vote) {
    StepResult result;
    result.learning_rate =
        learning_rate(config_.schedule, config_.optimizer.learning_rate, config_.training.steps, step + 1);
    Stopwatch watch;
    load_batches(step);
    result.seconds.data += watch.lap();
    std::vector<Moments> moments;
    const double waited_before = waited_seconds(mesh_);
    const double loss = forward_backward(step, with_gpas_view ? &moments : nullptr, true);
    const double waited = waited_seconds(mesh_) - waited_before;
    result.seconds.communication += waited;
    result.seconds.compute += watch.lap() - waited;
    sync_.finish();
    const Sums sums = sum_over_ranks(loss, vote);
    result.all_agree = sums.all_agree;
    result.loss_tokens = std::int64_t(sums.tokens);
    result.loss = sums.loss / std::max(sums.tokens, 1.0);
    if (with_gpas_view) gather_stream(result, moments);
    result.seconds.communication += watch.lap();
    measure_gradients(result);

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
        result.seconds.optimizer += watch.lap();
        gather_owned(*mesh_.data, replica_.store.all_compute_weights(), replica_.store.buckets());
        result.seconds.communication += watch.lap();
    }
    if (with_gpas_view) gather_gates(result);
    return result;
}

}  // namespace gpas
