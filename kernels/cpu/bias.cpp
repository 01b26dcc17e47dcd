#include "kernels/backend.hpp"

#include "kernels/cpu/blocks.hpp"
#include "kernels/cpu/vector_math.hpp"
#include "kernels/cpu/visit.hpp"

namespace gpas::cpu {

void add_bias(Context& context, Tensor y, Tensor bias) {
    const std::int64_t columns = y.columns();
    visit_float(y.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const RowBlocks blocks(y.rows());
        parallel_for(context, blocks.count, [&](std::int64_t block) {
            for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t) {
                T* row = y.as<T>() + t * columns;
                for_lanes(columns, [&](std::int64_t i, std::int64_t n) {
                    store_n(row + i, load_n(row + i, n) + load_n(bias.as<T>() + i, n), n);
                });
            }
        });
    });
}

// Threads share columns, not rows: a block of columns adds all rows in order.
void bias_gradient(Context& context, Tensor dbias, Tensor dy) {
    const std::int64_t columns = dy.columns();
    visit_float(dy.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_blocks(context, columns, 2 * lanes, [&](std::int64_t begin, std::int64_t end) {
            for_lanes(end - begin, [&](std::int64_t i, std::int64_t n) {
                double sums[lanes] = {};
                for (std::int64_t t = 0; t < dy.rows(); ++t) {
                    float row[lanes];
                    store(row, load_n(dy.as<T>() + t * columns + begin + i, n));
                    for (std::int64_t j = 0; j < lanes; ++j) sums[j] += double(row[j]);
                }
                for (std::int64_t j = 0; j < n; ++j) dbias.as<float>()[begin + i + j] += float(sums[j]);
            });
        });
    });
}

}  // namespace gpas::cpu
