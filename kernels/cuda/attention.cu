// Attention: chooses between the kernels and launches them.
#include "kernels/backend.hpp"

#include "kernels/cuda/attention_any.cuh"
#include "kernels/cuda/attention_backward.cuh"
#include "kernels/cuda/attention_forward.cuh"
#include "kernels/cuda/attention_last.cuh"
#include "kernels/cuda/launch_rows.hpp"
#include "kernels/cuda/limits.hpp"
#include "kernels/cuda/scratch.hpp"

#include <cmath>
#include <type_traits>

namespace gpas::cuda {
namespace {

unsigned blocks_of_rows(std::int64_t rows, int per_block) { return unsigned((rows + per_block - 1) / per_block); }

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

// Calls f(std::integral_constant<int, head_dim>) and returns true if there is a tensor-core kernel for this head_dim
// and the pointers are `aligned` to 16 bytes. Returns false otherwise.
template <class F>
bool visit_tensor_core_head(const AttentionShape& s, bool aligned, F&& f) {
    if (!aligned) return false;
    switch (s.head_dim) {
        case 48: f(std::integral_constant<int, 48>()); return true;
        case 64: f(std::integral_constant<int, 64>()); return true;
        case 96: f(std::integral_constant<int, 96>()); return true;
        case 128: f(std::integral_constant<int, 128>()); return true;
        default: return false;
    }
}

bool tensor_core_forward(Gpu& gpu, bf16* o, float* lse, const bf16* qkv, const AttentionShape& s,
                         const std::int32_t* segment_begin) {
    return visit_tensor_core_head(s, aligned_16({o, qkv}), [&](auto d) {
        launch(gpu,
               {.grid = dim3(blocks_of_rows(s.sequence, tile_rows<d()>), unsigned(s.batch * s.heads)),
                .threads = tile_threads,
                .shared_bytes = forward_shared_bytes<d()>()},
               attention_forward_kernel<d()>, o, lse, qkv, s, segment_begin, score_scale(s) * log2_of_e);
    });
}

bool tensor_core_backward(Gpu& gpu, const Backward<bf16>& b, const float* delta) {
    const AttentionShape& s = b.shape;
    return visit_tensor_core_head(s, aligned_16({b.dqkv, b.d_o, b.qkv}), [&](auto d) {
        const auto shape = [&](std::int64_t heads) {
            return LaunchShape{.grid = dim3(blocks_of_rows(s.sequence, tile_rows<d()>), unsigned(s.batch * heads)),
                               .threads = tile_threads,
                               .shared_bytes = backward_shared_bytes<d()>()};
        };
        launch(gpu, shape(s.kv_heads), attention_dkv_kernel<d()>, b.dqkv, b.d_o, b.lse, delta, b.qkv, s,
               b.segment_begin, score_scale(s));
        launch(gpu, shape(s.heads), attention_dq_kernel<d()>, b.dqkv, b.d_o, b.lse, delta, b.qkv, s, b.segment_begin,
               score_scale(s));
    });
}

template <class T>
void backward(Context& context, const Backward<T>& b) {
    const AttentionShape& s = b.shape;
    const Arena::Scope scope(context.scratch());
    const std::int64_t rows = s.batch * s.heads * s.sequence;
    auto* delta = scratch_array<float>(context, rows);
    launch(context.gpu(), {.grid = blocks_of_rows(rows, any_warps), .threads = any_threads}, attention_delta_kernel<T>,
           delta, b.d_o, b.o, s);
    if constexpr (std::is_same_v<T, bf16>)
        if (tensor_core_backward(context.gpu(), b, delta)) return;
    any_backward(context.gpu(), b, delta);
}

const std::int32_t* segments(const Tensor& begin) { return begin ? begin.as<std::int32_t>() : nullptr; }

}  // namespace

void attention(Context& context, const AttentionArgs& args) {
    const auto& [o, lse, qkv, shape, segment_begin] = args;
    const auto with = [&](auto zero) {
        using T = decltype(zero);
        if constexpr (std::is_same_v<T, bf16>)
            if (tensor_core_forward(context.gpu(), o.as<T>(), lse.as<float>(), qkv.as<T>(), shape,
                                    segments(segment_begin)))
                return;
        any_forward(context.gpu(), o.as<T>(), lse.as<float>(), qkv.as<T>(), shape, segments(segment_begin));
    };
    qkv.dtype == Dtype::bf16 ? with(bf16()) : with(float());
}

void attention_last(Context& context, Tensor o, Tensor qkv, AttentionShape shape) {
    const auto with = [&](auto zero) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = unsigned(shape.batch * shape.heads), .threads = last_threads},
               attention_last_kernel<T>, o.as<T>(), qkv.as<T>(), shape, score_scale(shape));
    };
    qkv.dtype == Dtype::bf16 ? with(bf16()) : with(float());
}

void attention_backward(Context& context, const AttentionBackwardArgs& args) {
    const auto& [dqkv, d_o, o, lse, qkv, shape, segment_begin] = args;
    const auto with = [&](auto zero) {
        using T = decltype(zero);
        backward<T>(context, {dqkv.as<T>(), d_o.as<T>(), o.as<T>(), lse.as<float>(), qkv.as<T>(), shape,
                              segments(segment_begin)});
    };
    qkv.dtype == Dtype::bf16 ? with(bf16()) : with(float());
}

std::string attention_refusal(AttentionShape shape) {
    constexpr std::int64_t longest = std::int64_t(1) << 24;  // positions are exact in fp32: least_first_seen()
    constexpr std::int64_t most_heads = 65535;               // CUDA's limit of gridDim.y
    if (shape.sequence > longest)
        return "CUDA attention has sequences of at most " + std::to_string(longest) + " tokens, not " +
               std::to_string(shape.sequence);
    if (shape.batch * shape.heads > most_heads)
        return "CUDA attention has at most " + std::to_string(most_heads) + " heads in a micro-batch, not " +
               std::to_string(shape.batch * shape.heads);
    if (shape.head_dim <= any_largest_head) return {};
    return "CUDA attention has heads of at most " + std::to_string(any_largest_head) + " columns, not " +
           std::to_string(shape.head_dim);
}

}  // namespace gpas::cuda
