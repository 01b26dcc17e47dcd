// Attention: the choice between the kernels, and their launches.
#include "kernels/cuda/attention.hpp"

#include "kernels/cuda/attention_any.cuh"
#include "kernels/cuda/scratch.hpp"

#include <cmath>

namespace gpas::cuda {
namespace {

unsigned blocks_of_rows(std::int64_t rows, int a_block) { return unsigned((rows + a_block - 1) / a_block); }

float score_scale(const AttentionShape& s) { return float(1.0 / std::sqrt(double(s.head_dim))); }

template <class T>
struct Backward {
    T* dqkv;
    const T* d_o;
    const T* o;
    const float* lse;
    const T* qkv;
    AttentionShape shape;
    const std::int32_t* segment_begin;
};

template <class T>
void any_forward(Gpu& gpu, T* o, float* lse, const T* qkv, const AttentionShape& s, const std::int32_t* segment_begin) {
    launch(gpu,
           {.grid = dim3(blocks_of_rows(s.sequence, any_rows), unsigned(s.batch * s.heads)),
            .threads = any_threads,
            .shared_bytes = any_shared_bytes(s.head_dim)},
           attention_any_kernel<T>, o, lse, qkv, s, segment_begin, score_scale(s));
}

template <class T>
void any_backward(Gpu& gpu, const Backward<T>& b, const float* delta) {
    const AttentionShape& s = b.shape;
    const auto shape = [&](std::int64_t heads) {
        return LaunchShape{.grid = dim3(blocks_of_rows(s.sequence, any_rows), unsigned(s.batch * heads)),
                           .threads = any_threads,
                           .shared_bytes = any_shared_bytes(s.head_dim)};
    };
    launch(gpu, shape(s.kv_heads), attention_any_dkv_kernel<T>, b.dqkv, b.d_o, b.lse, delta, b.qkv, s, b.segment_begin,
           score_scale(s));
    launch(gpu, shape(s.heads), attention_any_dq_kernel<T>, b.dqkv, b.d_o, b.lse, delta, b.qkv, s, b.segment_begin,
           score_scale(s));
}

template <class T>
void backward(Context& context, const Backward<T>& b) {
    const AttentionShape& s = b.shape;
    const Arena::Scope scope(context.scratch());
    const std::int64_t rows = s.batch * s.heads * s.sequence;
    auto* delta = scratch_array<float>(context, rows);
    launch(context.gpu(), {.grid = blocks_of_rows(rows, any_warps), .threads = any_threads}, attention_delta_kernel<T>,
           delta, b.d_o, b.o, s);
    any_backward(context.gpu(), b, delta);
}

const std::int32_t* segments(const Tensor& begin) { return begin ? begin.as<std::int32_t>() : nullptr; }

}  // namespace

void attention(Context& context, Tensor o, Tensor lse, Tensor qkv, AttentionShape shape, Tensor segment_begin) {
    const auto with = [&](auto zero) {
        using T = decltype(zero);
        any_forward(context.gpu(), o.as<T>(), lse.as<float>(), qkv.as<T>(), shape, segments(segment_begin));
    };
    qkv.dtype == Dtype::bf16 ? with(bf16()) : with(float());
}

void attention_backward(Context& context, Tensor dqkv, Tensor d_o, Tensor o, Tensor lse, Tensor qkv,
                        AttentionShape shape, Tensor segment_begin) {
    const auto with = [&](auto zero) {
        using T = decltype(zero);
        backward<T>(context, {dqkv.as<T>(), d_o.as<T>(), o.as<T>(), lse.as<float>(), qkv.as<T>(), shape,
                              segments(segment_begin)});
    };
    qkv.dtype == Dtype::bf16 ? with(bf16()) : with(float());
}

std::int64_t attention_scratch_bytes(AttentionShape shape) {
    return shape.batch * shape.heads * shape.sequence * std::int64_t(sizeof(float)) + Arena::alignment_bytes;
}

std::string attention_refusal(AttentionShape shape, Dtype) {
    if (shape.head_dim <= any_largest_head) return {};
    return "CUDA attention has heads of at most " + std::to_string(any_largest_head) + " columns, not " +
           std::to_string(shape.head_dim);
}

}  // namespace gpas::cuda
