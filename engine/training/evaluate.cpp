#include "engine/training/evaluate.hpp"

#include "engine/training/stopwatch.hpp"

#include <algorithm>

namespace gpas {
namespace {

// `part` widened to `samples` samples; what is added has no labels.
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

}  // namespace

EvaluationResult evaluate(Replica& replica, const ValidationSet& samples, bool mask_documents, Communicator& data_group,
                          const std::function<void(double)>& progress) {
    const Stopwatch watch;
    const std::int64_t micro = replica.model.shape().batch;
    const std::int64_t batches = (samples.samples() + micro - 1) / micro;
    double loss = 0.0;
    std::int64_t tokens = 0;
    Batch batch;
    for (std::int64_t i = data_group.rank(); i < batches; i += data_group.size()) {
        const std::int64_t first = i * micro;
        const std::int64_t count = std::min(micro, samples.samples() - first);
        samples.fill(batch, first, count);
        if (count < micro) batch = padded_batch(batch, micro);
        loss += replica.model.loss(replica.context, rows_of(batch, mask_documents));
        tokens += batch.loss_tokens;
        if (progress) progress(double(i + 1) / double(batches));
    }
    data_group.all_reduce(&loss, 1, ReduceOp::sum, "evaluation loss");
    data_group.all_reduce(&tokens, 1, ReduceOp::sum, "evaluation tokens");
    return {.loss = loss / double(std::max<std::int64_t>(tokens, 1)), .tokens = tokens, .seconds = watch.seconds()};
}

}  // namespace gpas
