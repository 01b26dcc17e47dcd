#include "kernels/backend.hpp"
#include "kernels/check_shapes.hpp"
#include "kernels/ops.hpp"

namespace gpas {
namespace {

bool three_per_label(const Tensor& stats, const Tensor& labels) {
    return is_fp32(stats) && labels && labels.dtype == Dtype::int32 && stats.elements() == 3 * labels.elements();
}

}  // namespace

void cross_entropy_stats(Context& context, Tensor stats, Tensor logits, Tensor labels, std::int64_t first_column) {
    check_shapes(is_fp32(logits) && three_per_label(stats, labels) && labels.elements() == logits.rows(),
                 "cross_entropy_stats", {{"stats", stats}, {"logits", logits}, {"labels", labels}});
    backend_of(context).cross_entropy_stats(context, stats, logits, labels, first_column);
}

void cross_entropy_combine(Context& context, Tensor stats, Tensor parts) {
    check_shapes(is_fp32(stats) && is_fp32(parts) && stats.columns() == 3 && parts.columns() == 3 &&
                     stats.elements() > 0 && parts.elements() % stats.elements() == 0,
                 "cross_entropy_combine", {{"stats", stats}, {"parts", parts}});
    backend_of(context).cross_entropy_combine(context, stats, parts);
}

void cross_entropy_loss(Context& context, Tensor sum, Tensor stats, Tensor labels) {
    check_shapes(is_sum(sum) && three_per_label(stats, labels), "cross_entropy_loss",
                 {{"sum", sum}, {"stats", stats}, {"labels", labels}});
    backend_of(context).cross_entropy_loss(context, sum, stats, labels);
}

void cross_entropy_token_losses(Context& context, Tensor losses, Tensor stats, Tensor labels) {
    check_shapes(losses && losses.dtype == Dtype::fp64 && three_per_label(stats, labels) &&
                     losses.elements() == labels.elements(),
                 "cross_entropy_token_losses", {{"losses", losses}, {"stats", stats}, {"labels", labels}});
    backend_of(context).cross_entropy_token_losses(context, losses, stats, labels);
}

void cross_entropy_backward(Context& context, const CrossEntropyBackwardArgs& args) {
    const auto& [dlogits, logits, stats, labels, first_column, factor] = args;
    check_shapes(is_fp32(logits) && is_floating(dlogits) && dlogits.elements() == logits.elements() &&
                     dlogits.columns() == logits.columns() && three_per_label(stats, labels) &&
                     labels.elements() == logits.rows(),
                 "cross_entropy_backward",
                 {{"dlogits", dlogits}, {"logits", logits}, {"stats", stats}, {"labels", labels}});
    backend_of(context).cross_entropy_backward(context, args);
}

}  // namespace gpas
