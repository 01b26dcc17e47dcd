#include "engine/model/head.hpp"

#include <algorithm>

namespace gpas {
namespace {

// Large enough that the weight gradient's product is efficient, small enough that logits stay a small share of memory.
constexpr std::int64_t largest_chunk_tokens = 512;

}  // namespace

Head::Head(Tensor w, Tensor dw, std::int64_t tokens, bool training, Arena& arena)
    : w_(w), dw_(dw), chunk_(std::min(tokens, largest_chunk_tokens)) {
    const std::int64_t vocabulary = w.dim(0);
    logits_ = arena.allocate(Dtype::fp32, {chunk_, vocabulary});
    stats_ = arena.allocate(Dtype::fp32, {chunk_, 3});
    dlogits_ = logits_;
    if (training && w.dtype != Dtype::fp32) dlogits_ = arena.allocate(w.dtype, {chunk_, vocabulary});
}

double Head::chunk_forward(Context& context, Tensor logits, Tensor stats, Tensor n, Tensor labels) {
    matmul(context, logits, n, w_);
    cross_entropy_stats(context, stats, logits, labels, 0);
    return cross_entropy_loss(context, stats, labels);
}

double Head::loss(Context& context, Tensor n, Tensor labels) {
    double sum = 0.0;
    for (std::int64_t begin = 0; begin < n.dim(0); begin += chunk_) {
        const std::int64_t end = std::min(begin + chunk_, n.dim(0));
        sum += chunk_forward(context, logits_.slice(0, end - begin), stats_.slice(0, end - begin), n.slice(begin, end),
                             labels.slice(begin, end));
    }
    return sum;
}

double Head::loss_and_backward(Context& context, Tensor dn, Tensor n, Tensor labels, float factor) {
    double sum = 0.0;
    for (std::int64_t begin = 0; begin < n.dim(0); begin += chunk_) {
        const std::int64_t end = std::min(begin + chunk_, n.dim(0));
        const Tensor logits = logits_.slice(0, end - begin);
        const Tensor stats = stats_.slice(0, end - begin);
        const Tensor dlogits = dlogits_.slice(0, end - begin);
        sum += chunk_forward(context, logits, stats, n.slice(begin, end), labels.slice(begin, end));
        cross_entropy_backward(context, dlogits, logits, stats, labels.slice(begin, end), 0, factor);
        matmul_dw(context, dw_, dlogits, n.slice(begin, end));  // logits = n wᵀ
        matmul_dx(context, dn.slice(begin, end), dlogits, w_);
    }
    return sum;
}

void Head::logits(Context& context, Tensor logits, Tensor n) { matmul(context, logits, n, w_); }

}  // namespace gpas
