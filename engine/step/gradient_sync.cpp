#include "engine/step/gradient_sync.hpp"

namespace gpas {
namespace {

// Parameters whose gradients only finish() reduces: gates, and a tied embedding that another stage adds to.
bool waits_for_the_end(const ParameterSpec& spec) { return spec.kind == ParameterKind::gate || spec.shared; }

}  // namespace

GradientSync::GradientSync(Replica& replica, Mesh& mesh)
    : replica_(replica),
      store_(replica.store),
      mesh_(mesh),
      reducer_(*mesh.data, store_.all_gradients(), store_.buckets()) {
    restart();
}

void GradientSync::restart() {
    missing_.assign(store_.buckets().size(), 0);
    for (std::size_t i = 0; i < store_.specs().size(); ++i) ++missing_[store_.bucket_of(i)];
}

void GradientSync::layer_done(std::int64_t layer) {
    for (std::size_t i = store_.specs().size(); i-- > 0;) {
        const ParameterSpec& spec = store_.specs()[i];
        if (spec.layer != layer || waits_for_the_end(spec)) continue;
        if (--missing_[store_.bucket_of(i)] == 0) reducer_.start(store_.bucket_of(i));
    }
    reducer_.poll();
}

void GradientSync::sum_tied_embedding() {
    for (std::size_t i = 0; i < store_.specs().size(); ++i)
        if (store_.specs()[i].shared)
            mesh_.embedding->all_reduce(store_.gradient(i), ReduceOp::sum, "gradient of the tied embedding");
}

void GradientSync::sum_over_tensor_ranks() {
    const Tensor packed = replica_.memory().packed;
    if (!packed) return;
    const bool sequence_parallel = replica_.shape().compute.sequence_parallel;
    const auto for_each = [&](auto&& move) {
        std::int64_t next = 0;
        for (const OwnedPiece& piece : store_.owned()) {
            if (!store_.specs()[piece.parameter].partial_gradient(sequence_parallel)) continue;
            move(packed.slice(next, next + piece.gradient.elements()), piece.gradient);
            next += piece.gradient.elements();
        }
    };
    for_each([&](Tensor place, Tensor gradient) { copy(replica_.context, place, gradient); });
    mesh_.tensor->all_reduce(packed, ReduceOp::sum, "gradients of norms, biases and gates");
    for_each([&](Tensor place, Tensor gradient) { copy(replica_.context, gradient, place); });
}

void GradientSync::finish() {
    sum_tied_embedding();
    reducer_.finish();
    sum_over_tensor_ranks();
    restart();
}

}  // namespace gpas
