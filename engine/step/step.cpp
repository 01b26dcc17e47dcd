#include "engine/step/step.hpp"

#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "engine/guard/trouble.hpp"
#include "engine/guard/weight_check.hpp"
#include "engine/step/learning_rate.hpp"
#include "kernels/cuda/profiling.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>

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
void TrainingStep::forward_backward(std::int64_t step, std::vector<Moments>* moments, bool reduce) {
    fill(replica_.context, replica_.store.all_gradients(), 0.0F);
    Model::LayerDone done;
    if (reduce) done = [this](std::int64_t layer) { sync_.layer_done(layer); };
    pipeline_.train({.batches = batches_,
                     .mask_documents = config_.data.mask_documents,
                     .factor = float(rehearsed_.factor()),
                     .batch_means = config_.training.loss_mean == LossMean::micro_batches,
                     .moments = moments,
                     .step = step + 1,
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

void TrainingStep::update_weights(StepResult& result, std::int64_t update, bool only_if_taken) {
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
                         .step = update,
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

std::string TrainingStep::find_trouble(const StepInput& input, std::int64_t& rank) {
    const auto samples_of = [&](std::int64_t micro_batch) {
        const std::int64_t micro = config_.training.micro_batch_size;
        const std::int64_t first = input.first_sample + (micro_batch * mesh_.size.data + mesh_.place.data) * micro;
        return micro == 1 ? fmt::format("micro-batch {}, sample {}", micro_batch, first)
                          : fmt::format("micro-batch {}, samples {} to {}", micro_batch, first, first + micro - 1);
    };
    const auto in_weights = [&] { return bad_weight(replica_.context, replica_.store); };
    const auto in_forward = [&]() -> Trouble {
        NumberProbe probe;
        const double loss = pipeline_.evaluate({.batches = batches_,
                                                .mask_documents = config_.data.mask_documents,
                                                .step = input.step + 1,
                                                .probe = &probe});
        const NumberProbe::Found& found = probe.found();
        if (found.position >= 0)
            return {found.position, fmt::format("{} ({})", found.text, samples_of(found.micro_batch))};
        if (!mesh_.last_stage() || std::isfinite(loss)) return {};
        return {std::numeric_limits<std::int32_t>::max(), fmt::format("the loss is {}", number_text(loss))};
    };
    const auto in_backward = [&] {
        forward_backward(input.step, nullptr, false);
        return bad_gradient(replica_.context, replica_.store);
    };
    // In this order, since a bad number makes all later ones bad, on all ranks.
    for (const std::function<Trouble()>& look : {std::function<Trouble()>(in_weights), {in_forward}, {in_backward}})
        if (const auto found = first_of_all(mesh_, config_.parallel.order, look())) {
            rank = found->rank;
            return found->text;
        }
    return "only in the sum over ranks: a gradient overflowed fp32";
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
    if (moments != nullptr) gather_stream(result, *moments);
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
    return {.own_loss = all[0],
            .bits = {std::bit_cast<std::uint64_t>(result.loss), std::bit_cast<std::uint64_t>(result.gradient_norm)},
            .taken = found.taken != 0.0};
}

void TrainingStep::handle(StepResult& result, EventMetrics event, StepAction action) {
    if (event.action.empty()) event.action = event_action_of(action);
    result.action = action;
    result.events.push_back(std::move(event));
}

std::vector<int> TrainingStep::ranks_of_copy(int rank) const {
    const MeshOrder order = config_.parallel.order;
    std::vector<int> ranks;
    for (int other = 0; other < mesh_.world->size(); ++other)
        if (place_of(other, mesh_.size, order).data == place_of(rank, mesh_.size, order).data) ranks.push_back(other);
    return ranks;
}

// Computes the step again. Bad data gives the same numbers again; hardware with transient failures does not, and then
// the second result is used. `what`: the reason, for the event.
bool TrainingStep::differs_when_recomputed(const StepInput& input, StepResult& result, const Computed& first,
                                           const std::string& what) {
    rehearsed_.before_recomputation();
    const double loss = result.loss, norm = result.gradient_norm;
    compute(input, result, nullptr, rule_of(input, false));
    const Computed second = numbers(result);
    if (std::equal(first.bits, first.bits + 2, second.bits)) return false;
    const bool mine = std::bit_cast<std::uint64_t>(first.own_loss) != std::bit_cast<std::uint64_t>(second.own_loss);
    std::int64_t rank = mine ? mesh_.world->rank() : mesh_.world->size();
    mesh_.world->all_reduce(&rank, 1, ReduceOp::min, "the rank that computes differently");
    const bool known = rank < mesh_.world->size();
    const std::vector<int> suspects = known ? ranks_of_copy(int(rank)) : std::vector<int>{};
    handle(result,
           {.step = input.step + 1,
            .event = "hardware",
            .action = "recomputed",
            .rank = suspects.size() == 1 ? rank : -1,
            .text = fmt::format("{}, but computed again on the same data loss {:.9g} becomes {:.9g} and gradient norm "
                                "{:.9g} becomes {:.9g}: {} computes wrongly now and then",
                                what, loss, result.loss, norm, result.gradient_norm,
                                suspects.size() == 1 ? fmt::format("the hardware of rank {}", rank)
                                : known ? fmt::format("the hardware of one of ranks {}", fmt::join(suspects, ", "))
                                        : "the hardware of some rank, in backward or in a message,")},
           StepAction::update);
    return true;
}

// Compares the replicas' weights that this step used, before the update. False: they differ; event and action are set.
bool TrainingStep::replicas_agree(const StepInput& input, StepResult& result) {
    const auto difference = compare_replicas(replica_.context, replica_.store, mesh_, config_.parallel.order);
    result.replicas_agreed = !difference;
    if (difference)
        handle(result,
               {.step = input.step + 1,
                .event = "different_weights",
                .rank = difference->ranks.size() == 1 ? difference->ranks.front() : -1,
                .text = difference->text},
               action_on(config_.guard.on_different_weights));
    return result.replicas_agreed;
}

void TrainingStep::judge(const StepInput& input, StepResult& result, const Computed& first) {
    const GuardConfig& guard = config_.guard;
    const std::int64_t step = input.step + 1;
    const auto suspicion_now = [&] {
        return suspicion_of({result.loss, result.gradient_norm, result.loss_tokens}, input.spikes);
    };
    Suspicion suspicion = suspicion_now();
    const bool compares = guard.weights_every > 0 && (suspicion || step % guard.weights_every == 0);
    if (compares && !replicas_agree(input, result)) return;
    if (!suspicion) return;
    if (guard.recompute) {
        if (differs_when_recomputed(input, result, first, suspicion.text)) {
            suspicion = suspicion_now();
            if (!suspicion) return;
        } else {
            suspicion.text +=
                fmt::format(" (the same bits when computed again: samples {} to {} or the run itself, not hardware)",
                            input.first_sample, input.first_sample + config_.training.global_batch_size - 1);
        }
    }
    if (suspicion.bad) {
        std::int64_t rank = -1;
        const std::string text = suspicion.text + ": " + find_trouble(input, rank);
        handle(result, {.step = step, .event = "bad_numbers", .rank = rank, .text = text},
               action_on(config_.training.on_bad_numbers));
    } else {
        handle(result, {.step = step, .event = suspicion.spike.event, .text = suspicion.text},
               action_on(guard.on_spike));
    }
}

StepResult TrainingStep::run(const StepInput& input) {
    const cuda::Range whole(replica_.context, "step {}", input.step + 1);
    StepResult result;
    result.learning_rate =
        learning_rate(config_.schedule, config_.optimizer.learning_rate, config_.training.steps, input.step + 1);
    RankProgress& progress = mesh_.world->progress();
    Stopwatch watch;
    progress.enter(Phase::data, input.step + 1);
    rehearsed_.before_step(input.step + 1);
    load_batches(input.first_sample);
    result.seconds.data += watch.lap();
    std::vector<Moments> moments;
    // A comparison of replicas must see the weights that this step has used.
    const GuardConfig& guard = config_.guard;
    const bool compares = guard.weights_every > 0 && (input.step + 1) % guard.weights_every == 0;
    compute(input, result, input.with_gpas_view ? &moments : nullptr, rule_of(input, !compares));
    progress.enter(Phase::optimizer);
    update_weights(result, input.update, true);
    result.seconds.optimizer += clock_.lap();
    const Computed first = numbers(result);
    count_votes(result, input.vote ? input.vote() : StepVote{});
    result.seconds.communication += clock_.lap();
    const Stopwatch judging;
    const double counted = result.seconds.total();
    judge(input, result, first);
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
    if (input.with_gpas_view) gather_gates(result);
    return result;
}

}  // namespace gpas
