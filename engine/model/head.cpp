#include "engine/model/head.hpp"

#include <algorithm>

namespace gpas {

Head::Head(const ModelConfig& model, const ModelShape& shape, ParameterStore& store)
    : first_row_(vocabulary_rows(model, shape).begin) {
    const std::size_t i = store.index_of(model.tied_embeddings ? "embedding.weight" : "head.weight");
    w_ = store.compute(i);
    dw_ = store.gradient(i);
}

void Head::chunk_forward(const LayerContext& shared, Tensor n, Tensor labels) {
    const auto& [context, group, work] = shared;
    const std::int64_t rows = n.dim(0);
    const Tensor logits = work.logits.slice(0, rows);
    const Tensor stats = work.stats.slice(0, rows);
    matmul(context, logits, n, w_);
    work.look(context, "head", logits);
    cross_entropy_stats(context, stats, logits, labels, first_row_);
    if (group.size() > 1) {
        const Tensor parts = work.stats_parts.first({group.size(), rows, 3});
        cross_entropy_combine(context, stats, group.gather_parts(stats, parts, "softmax statistics"));
    }
    cross_entropy_loss(context, work.loss, stats, labels);
}

void Head::loss(const LayerContext& shared, Tensor n, Tensor labels, Tensor token_losses) {
    const auto& [context, group, work] = shared;
    const Tensor n_all = group.gather(n, work.whole_input, "head input");
    const std::int64_t chunk = work.logits.dim(0);
    for (std::int64_t begin = 0; begin < n_all.dim(0); begin += chunk) {
        const std::int64_t end = std::min(begin + chunk, n_all.dim(0));
        chunk_forward(shared, n_all.slice(begin, end), labels.slice(begin, end));
        if (token_losses)
            cross_entropy_token_losses(context, token_losses.slice(begin, end), work.stats.slice(0, end - begin),
                                       labels.slice(begin, end));
    }
}

void Head::loss_and_backward(const LayerContext& shared, Tensor dn, Tensor n, Tensor labels, float factor) {
    const auto& [context, group, work] = shared;
    const Tensor n_all = group.gather(n, work.whole_input, "head input");
    const Tensor partial = group.partial(dn, work.partial);
    const std::int64_t chunk = work.logits.dim(0);
    for (std::int64_t begin = 0; begin < n_all.dim(0); begin += chunk) {
        const std::int64_t end = std::min(begin + chunk, n_all.dim(0));
        const Tensor logits = work.logits.slice(0, end - begin);
        const Tensor stats = work.stats.slice(0, end - begin);
        const Tensor dlogits = work.dlogits.slice(0, end - begin);
        chunk_forward(shared, n_all.slice(begin, end), labels.slice(begin, end));
        cross_entropy_backward(context, {.dlogits = dlogits,
                                         .logits = logits,
                                         .stats = stats,
                                         .labels = labels.slice(begin, end),
                                         .first_column = first_row_,
                                         .factor = factor});
        matmul_dw(context, dw_, dlogits, n_all.slice(begin, end));  // logits = n wᵀ
        matmul_dx(context, partial.slice(begin, end), dlogits, w_);
    }
    group.reduce(dn, work.partial, "gradient of head input");
}

void Head::logits(Context& context, Tensor logits, Tensor n) { matmul(context, logits, n, w_); }

}  // namespace gpas
