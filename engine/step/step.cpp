#include "engine/step/step.hpp"

#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "engine/step/gathered_view.hpp"
#include "engine/step/learning_rate.hpp"
#include "kernels/cuda/profiling.hpp"

#include <cstddef>
#include <cstring>
#include <utility>

namespace gpas {
namespace {

// Seconds so far that this rank waited for messages of forward and backward: of tensor-parallel ranks, neighbouring
// stages, and gradient buckets.
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
      sync_(replica, mesh),
      read_(replica.context, replica.memory().work.step_numbers.elements()),
      clock_(replica.context),
      guard_(config, replica.context, replica.store, mesh),
      rehearsed_(mesh.world->progress().rehearsal(), mesh.world->board(), replica.context, replica.store) {
    require(micro_batches_ * config.training.micro_batch_size * mesh.size.data == config.training.global_batch_size,
            "global batch of {} samples over {} ranks in micro-batches of {}", config.training.global_batch_size,
            mesh.size.data, config.training.micro_batch_size);
}

// All ranks with one data rank (pipeline stages and tensor-parallel ranks) read the same samples.
void TrainingStep::load_batches(std::int64_t first_sample) {
    const std::int64_t micro = config_.training.micro_batch_size;
    for (std::int64_t i = 0; i < micro_batches_; ++i) {
        const std::int64_t chunk = i * mesh_.size.data + mesh_.place.data;
        samples_.fill(batches_[std::size_t(i)], first_sample + chunk * micro, micro);
    }
}

// Gradients = Σ over this rank's tokens, not means: AdamW divides by the number of tokens of the global batch.
void TrainingStep::forward_backward(StepNumber step, std::vector<Moments>* moments, bool reduce) {
    fill(replica_.context, replica_.store.all_gradients(), 0.0F);
    Model::LayerDone done;
    if (reduce) done = [this](std::int64_t layer) { sync_.layer_done(layer); };
    pipeline_.train({.batches = batches_,
                     .mask_documents = config_.data.mask_documents,
                     .factor = float(rehearsed_.factor()),
                     .batch_means = config_.training.loss_mean == LossMean::micro_batches,
                     .moments = moments,
                     .step = step.from_1,
                     .done = done});
}

void TrainingStep::count_votes(StepResult& result, const StepVote& vote) {
    double votes[3] = {double(vote.written), double(vote.stop == StopRequest::unfinished),
                       double(vote.stop == StopRequest::stop)};
    mesh_.world->all_reduce(votes, 3, ReduceOp::sum, "votes");
    result.all_written = votes[0] == double(mesh_.world->size());
    result.stop = votes[2] > 0 ? StopRequest::stop : votes[1] > 0 ? StopRequest::unfinished : StopRequest::none;
}

void TrainingStep::measure_gradients() {
    const ParameterStore& store = replica_.store;
    const Tensor squares = replica_.memory().work.squares;
    clear(replica_.context, squares);
    std::vector<Tensor> gradients[2];  // [0] of all parameters but the gates, [1] of the gates
    for (const OwnedPiece& piece : store.owned())
        if (piece.counted)
            gradients[store.specs()[piece.parameter].kind == ParameterKind::gate].push_back(piece.gradient);
    for (const int gates : {0, 1}) squared_norm(replica_.context, squares.slice(gates, gates + 1), gradients[gates]);
}

// Sums loss, tokens and squared norms over all ranks, on the device.
void TrainingStep::sum_over_ranks() {
    StepTerms terms{.factor = rehearsed_.factor(),
                    .counted = mesh_.last_stage() && mesh_.place.tensor == 0};  // tensor ranks have equal losses
    if (terms.counted)
        for (const Batch& batch : batches_) terms.tokens += double(batch.loss_tokens);
    const Workspace& work = replica_.memory().work;
    step_sums(replica_.context, sums(), own_loss(), work.loss, work.squares, terms);
    group_of_all(mesh_).all_reduce(sums(), ReduceOp::sum, "loss and squared gradient norm");
}

UpdateRule TrainingStep::rule_of(const StepInput& input, bool allowed) const {
    const SpikeLimits most = input.spikes != nullptr ? input.spikes->limits() : SpikeLimits{};
    return {// The number of micro-batches if the gradient sums their means; 0: the number of tokens.
            .divisor =
                config_.training.loss_mean == LossMean::micro_batches ? double(micro_batches_ * mesh_.size.data) : 0.0,
            .clip = config_.optimizer.clip_grad,
            .gate_clip = config_.optimizer.clip_gate_grad,
            .most_loss = most.loss,
            .most_gradient_norm = most.gradient_norm,
            .allowed = allowed};
}

void TrainingStep::update_weights(StepResult& result, UpdateNumber update, bool only_if_taken) {
    const cuda::Range range(replica_.context, "optimizer");
    const OptimizerConfig& optimizer = config_.optimizer;
    ParameterStore& store = replica_.store;
    const auto number = [&](std::size_t offset_bytes) {
        const auto at = std::int64_t(offset_bytes / sizeof(double));
        return decision().slice(at, at + 1);
    };
    const Tensor factor = number(offsetof(UpdateDecision, factor));
    const Tensor gate_factor = number(offsetof(UpdateDecision, gate_factor));
    const AdamwStep adam{.learning_rate = result.learning_rate,
                         .beta1 = optimizer.beta1,
                         .beta2 = optimizer.beta2,
                         .epsilon = optimizer.epsilon,
                         .step = update.from_1,
                         .taken = only_if_taken ? number(offsetof(UpdateDecision, taken)) : Tensor{}};
    store.await_weights();  // a gather must not send weights that change (after a forward pass none is under way)
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
                          .factor = spec.kind == ParameterKind::gate ? gate_factor : factor});
    }
    adamw(replica_.context, pieces, adam);
}

void TrainingStep::compute(const StepInput& input, StepResult& result, std::vector<Moments>* moments,
                           const UpdateRule& rule) {
    clock_.begin();
    const double waited_before = waited_seconds(mesh_);
    forward_backward(input.step, moments, true);
    clock_.computed(result.seconds, waited_seconds(mesh_) - waited_before);
    mesh_.world->progress().enter(Phase::reduction);
    const cuda::Range reduction(replica_.context, "reduction of gradients");
    sync_.finish();
    if (moments != nullptr) result.stream = gather_stream(config_, replica_.shape(), mesh_, *moments);
    clock_.reduced(result.seconds);
    measure_gradients();
    result.seconds.optimizer += clock_.lap();
    sum_over_ranks();
    decide_update(replica_.context, decision(), sums(), rule);
    read_.fetch(replica_.context, replica_.memory().work.step_numbers);
    result.seconds.communication += clock_.lap();
}

TrainingStep::Computed TrainingStep::numbers(StepResult& result) {
    clock_.lap();
    const std::span<const double> all = read_.wait();
    clock_.waited_for_gpu(result.seconds);
    UpdateDecision found;
    std::memcpy(static_cast<void*>(&found), all.data() + 5, sizeof found);
    result.loss_tokens = std::int64_t(all[2]);
    result.loss = found.loss;
    result.gradient_norm = found.gradient_norm;
    result.gate_gradient_norm = found.gate_gradient_norm;
    result.clipped = found.clip < 1.0;
    result.gates_clipped = found.gate_clip < 1.0;
    return {.numbers = {.whole = {result.loss, result.gradient_norm, result.loss_tokens}, .own_loss = all[0]},
            .taken = found.taken != 0.0};
}

void TrainingStep::judge(const StepInput& input, StepResult& result, const ComputedNumbers& first) {
    const StepAgain again{.numbers =
                              [&] {
                                  rehearsed_.before_recomputation();
                                  compute(input, result, nullptr, rule_of(input, false));
                                  return numbers(result).numbers;
                              },
                          .forward =
                              [&](NumberProbe& probe) {
                                  return pipeline_.evaluate({.batches = batches_,
                                                             .mask_documents = config_.data.mask_documents,
                                                             .step = input.step.from_1,
                                                             .probe = &probe});
                              },
                          .gradients = [&] { forward_backward(input.step, nullptr, false); }};
    Verdict verdict = guard_.judge({input.step, input.first_sample, input.spikes}, first, again);
    result.action = verdict.action;
    result.events = std::move(verdict.events);
    result.replicas_agreed = verdict.replicas_agreed;
}

StepResult TrainingStep::run(const StepInput& input) {
    const cuda::Range whole(replica_.context, "step {}", input.step.from_1);
    StepResult result;
    result.learning_rate =
        learning_rate(config_.schedule, config_.optimizer.learning_rate, config_.training.steps, input.step);
    RankProgress& progress = mesh_.world->progress();
    Stopwatch watch;
    progress.enter(Phase::data, input.step.from_1);
    rehearsed_.before_step(input.step);
    load_batches(input.first_sample);
    result.seconds.data += watch.lap();
    std::vector<Moments> moments;
    // A comparison of replicas must see the weights that this step has used.
    const bool allowed = !guard_.compares_at(input.step);
    compute(input, result, input.with_gpas_view ? &moments : nullptr, rule_of(input, allowed));
    progress.enter(Phase::optimizer);
    update_weights(result, input.update, true);
    result.seconds.optimizer += clock_.lap();
    const Computed first = numbers(result);
    count_votes(result, input.vote ? input.vote() : StepVote{});
    result.seconds.communication += clock_.lap();
    const Stopwatch judging;
    const double counted = result.seconds.total();
    judge(input, result, first.numbers);
    // AdamW with a gradient of zero would still move the weights, by their momentum and by weight decay.
    if (result.loss_tokens == 0 && result.action == StepAction::update) result.action = StepAction::no_tokens;
    result.seconds.optimizer += judging.seconds() - (result.seconds.total() - counted);
    watch.lap();
    require(!first.taken || result.action == StepAction::update,
            "the device has taken an update that the host refuses");
    if (result.action == StepAction::update) {
        progress.enter(Phase::optimizer);
        if (!first.taken) update_weights(result, input.update, false);
        result.seconds.optimizer += watch.lap();
        replica_.store.start_gather(*mesh_.data);
        result.seconds.communication += watch.lap();
    }
    if (input.with_gpas_view) result.gates = gather_gates(config_, replica_, mesh_);
    return result;
}

}  // namespace gpas
