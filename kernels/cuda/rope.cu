// Rotary position embedding in place on packed qkv. Bound by memory bandwidth: query and key heads are read and written
// once.
#include "kernels/backend.hpp"

#include "kernels/cuda/launch_flat.hpp"

namespace gpas::cuda {
namespace {

// Each thread rotates V pairs (i, i + head_dim/2) of one query or key head. V divides head_dim/2. direction: 1, or -1
// for the inverse rotation. pairs: total number of pairs in qkv.
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    rope_kernel(T* qkv, AttentionShape shape, const float* cos, const float* sin, float direction, std::int64_t pairs) {
    const std::int64_t i = flat_index(V);
    if (i >= pairs) return;
    const std::int64_t half = shape.head_dim / 2;
    const std::int64_t rotated_of_group = shape.heads / shape.kv_heads + 1;  // queries and key, without the value
    const std::int64_t pair = i % half;
    const std::int64_t head = i / half % (rotated_of_group * shape.kv_heads);
    const std::int64_t row = i / half / (rotated_of_group * shape.kv_heads);
    const std::int64_t group = head / rotated_of_group;
    const std::int64_t position = row / shape.batch;
    T* at = qkv + row * shape.qkv_columns() + (head + group) * shape.head_dim + pair;

    auto first = load_pack<V>(at);
    auto second = load_pack<V>(at + half);
    unrolled<V>([&](int v) {
        const float c = cos[position * half + pair + v];
        const float s = sin[position * half + pair + v] * direction;
        const float a = to_float(first.v[v]);
        const float b = to_float(second.v[v]);
        first.v[v] = from_float<T>(a * c - b * s);
        second.v[v] = from_float<T>(b * c + a * s);
    });
    store_pack(at, first);
    store_pack(at + half, second);
}

}  // namespace

void rope(Context& context, Tensor qkv, AttentionShape shape, Tensor cos, Tensor sin, bool inverse) {
    const std::int64_t pairs = shape.sequence * shape.batch * (shape.heads + shape.kv_heads) * shape.head_dim / 2;
    if (pairs == 0) return;
    const bool vectors = aligned_16({qkv.data}) && shape.head_dim / 2 * bytes_per_element(qkv.dtype) % 16 == 0;
    visit_width(qkv.dtype, vectors, [&](auto zero, auto v) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = blocks_of(pairs, v), .threads = flat_threads}, rope_kernel<T, v()>, qkv.as<T>(),
               shape, cos.as<float>(), sin.as<float>(), inverse ? -1.0F : 1.0F, pairs);
    });
}

}  // namespace gpas::cuda
