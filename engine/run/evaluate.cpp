#include "engine/run/evaluate.hpp"

#include "base/stopwatch.hpp"

#include <algorithm>

namespace gpas {
namespace {

// `part` padded to `samples` samples. Padding samples have no labels, so they add nothing to the loss.
Batch padded_batch(const Batch& part, std::int64_t samples) {
    Batch full{.samples = samples, .sequence_length = part.sequence_length, .loss_tokens = part.loss_tokens};
    const std::size_t elements = std::size_t(samples * part.sequence_length);
    full.tokens.assign(elements, 0);
    full.labels.assign(elements, -1);
    full.segment_begin.assign(elements, 0);
    for (std::int64_t t = 0; t < part.sequence_length; ++t) {
        std::copy_n(part.tokens.begin() + t * part.samples, part.samples, full.tokens.begin() + t * samples);
        std::copy_n(part.labels.begin() + t * part.samples, part.samples, full.labels.begin() + t * samples);
        std::copy_n(part.segment_begin.begin() + t * part.samples, part.samples,
                    full.segment_begin.begin() + t * samples);
    }
    return full;
}

bool any_rank(Communicator& world, bool mine) {
    std::int64_t any = mine ? 1 : 0;
    world.all_reduce(&any, 1, ReduceOp::max, "requests to stop");
    return any == 1;
}

// Most micro-batches per round: enough to fill a pipeline many times, few enough to need little memory.
constexpr std::int64_t most_at_once = 64;

}  // namespace

EvaluationSamples samples_of(const ValidationSet& samples, bool mask_documents) {
    return {
        .count = samples.samples(),
        .fill = [&samples](Batch& batch, std::int64_t first, std::int64_t count) { samples.fill(batch, first, count); },
        .mask_documents = mask_documents};
}

EvaluationResult evaluate(Replica& replica, Mesh& mesh, const PipelineShape& shape, const EvaluationSamples& samples,
                          const EvaluationHooks& hooks) {
    const Stopwatch watch;
    const std::int64_t micro = replica.shape().compute.batch;
    const std::int64_t at_once = std::min(most_at_once, replica.row_slots());
    const std::int64_t count = (samples.count + micro - 1) / micro;  // micro-batches of the set
    const std::int64_t rounds = (count + mesh.size.data * at_once - 1) / (mesh.size.data * at_once);  // on every rank
    const auto size_of = [&](std::int64_t i) { return std::min(micro, samples.count - i * micro); };
    Pipeline pipeline(replica, mesh, shape);
    double sums[2] = {0.0, 0.0};  // Σ loss, number of tokens
    bool interrupted = false;
    std::vector<Batch> batches;
    std::int64_t next = mesh.place.data;  // micro-batch of this rank
    for (std::int64_t round = 0; round < rounds; ++round) {
        mesh.world->progress().enter(Phase::evaluation);
        if (hooks.stop && any_rank(*mesh.world, hooks.stop())) {
            interrupted = true;
            break;
        }
        const std::int64_t first = next;
        for (batches.clear(); std::int64_t(batches.size()) < at_once && next < count; next += mesh.size.data) {
            batches.emplace_back();
            samples.fill(batches.back(), next * micro, size_of(next));
            if (batches.back().samples < micro) batches.back() = padded_batch(batches.back(), micro);
        }
        if (batches.empty()) continue;
        PipelinePass pass{.batches = batches,
                          .mask_documents = samples.mask_documents,
                          .step = mesh.world->board().step,
                          .without_layer = samples.without_layer,
                          .angles = samples.angles};
        if (samples.token_losses && mesh.place.tensor == 0)
            pass.token_losses = [&](std::int64_t i, const std::vector<double>& losses) {
                const std::int64_t batch = first + i * mesh.size.data;
                samples.token_losses(batch * micro, size_of(batch), losses);
            };
        sums[0] += pipeline.evaluate(pass);
        for (const Batch& batch : batches) sums[1] += double(batch.loss_tokens);
        if (hooks.progress) hooks.progress(double(std::min(count, next)) / double(count));
    }
    if (!mesh.last_stage() || mesh.place.tensor != 0) sums[0] = sums[1] = 0.0;  // count each copy of the model once
    mesh.world->all_reduce(sums, 2, ReduceOp::sum, "evaluation loss");
    return {.loss = sums[0] / std::max(sums[1], 1.0),
            .tokens = std::int64_t(sums[1]),
            .seconds = watch.seconds(),
            .interrupted = interrupted};
}

EvaluationResult evaluate(Replica& replica, Mesh& mesh, const PipelineShape& shape, const ValidationSet& samples,
                          bool mask_documents, const EvaluationHooks& hooks) {
    return evaluate(replica, mesh, shape, samples_of(samples, mask_documents), hooks);
}

}  // namespace gpas
