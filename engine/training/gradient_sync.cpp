#include "engine/training/gradient_sync.hpp"

#include <cstring>

namespace gpas {
namespace {

// Reduced by finish() alone: gates, and an embedding that another stage adds to.
bool waits_for_the_end(const ParameterSpec& spec) { return spec.kind == ParameterKind::gate || spec.shared; }

}  // namespace

GradientSync::GradientSync(ParameterStore& store, Mesh& mesh, bool sequence_parallel)
    : store_(store),
      mesh_(mesh),
      sequence_parallel_(sequence_parallel),
      reducer_(*mesh.data, store.all_gradients(), store.buckets()) {
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

void GradientSync::sum_over_sequence_shards() {
    if (!sequence_parallel_) return;
    packed_.clear();
    for (const OwnedPiece& piece : store_.owned()) {
        if (store_.specs()[piece.parameter].tensor_axis >= 0) continue;
        const float* gradient = piece.gradient.as<float>();
        packed_.insert(packed_.end(), gradient, gradient + piece.elements.size());
    }
    mesh_.tensor->all_reduce(Tensor(packed_.data(), Dtype::fp32, {std::int64_t(packed_.size())}), ReduceOp::sum,
                             "gradients of norms and gates");
    const float* next = packed_.data();
    for (const OwnedPiece& piece : store_.owned()) {
        if (store_.specs()[piece.parameter].tensor_axis >= 0) continue;
        std::memcpy(piece.gradient.as<float>(), next, std::size_t(piece.gradient.bytes()));
        next += piece.elements.size();
    }
}

void GradientSync::finish() {
    sum_tied_embedding();
    reducer_.finish();
    sum_over_sequence_shards();
    restart();
}

}  // namespace gpas
