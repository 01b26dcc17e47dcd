#include "kernels/backend.hpp"

#include "kernels/cpu/blocks.hpp"
#include "kernels/cpu/vector_math.hpp"
#include "kernels/cpu/visit.hpp"

#include <cmath>

namespace gpas::cpu {
namespace {

// (a, b) <- (a cos - b sin, b cos + a sin)
template <class T>
void rotate(T* head, const float* cos, const float* sin, std::int64_t half, float sign) {
    for_lanes(half, [&](std::int64_t i, std::int64_t n) {
        const Vec a = load_n(head + i, n);
        const Vec b = load_n(head + half + i, n);
        const Vec c = load_n(cos + i, n);
        const Vec s = sign * load_n(sin + i, n);
        store_n(head + i, a * c - b * s, n);
        store_n(head + half + i, b * c + a * s, n);
    });
}

}  // namespace

void rope_table(Context&, Tensor cos, Tensor sin, const RopeFrequencies& frequencies) {
    const std::int64_t half = cos.columns();
    for (std::int64_t t = 0; t < cos.rows(); ++t)
        for (std::int64_t i = 0; i < half; ++i) {
            const double angle = double(t) * frequencies.at(i, half);
            cos.as<float>()[t * half + i] = float(std::cos(angle));
            sin.as<float>()[t * half + i] = float(std::sin(angle));
        }
}

void rope(Context& context, Tensor qkv, AttentionShape shape, Tensor cos, Tensor sin, bool inverse) {
    const std::int64_t half = shape.head_dim / 2;
    const std::int64_t rotated = shape.heads / shape.kv_heads + 1;  // of a group: its queries and its key
    const float sign = inverse ? -1.0F : 1.0F;
    visit_float(qkv.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const RowBlocks blocks(qkv.rows());
        parallel_for(context, blocks.count, [&](std::int64_t block) {
            for (std::int64_t r = blocks.begin(block); r < blocks.end(block); ++r) {
                const std::int64_t position = r / shape.batch;
                T* row = qkv.as<T>() + r * shape.qkv_columns();
                for (std::int64_t group = 0; group < shape.kv_heads; ++group)
                    for (std::int64_t slot = 0; slot < rotated; ++slot)
                        rotate(row + (group * (rotated + 1) + slot) * shape.head_dim, cos.as<float>() + position * half,
                               sin.as<float>() + position * half, half, sign);
            }
        });
    });
}

}  // namespace gpas::cpu
