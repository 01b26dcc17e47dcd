#include "kernels/backend.hpp"

#include "kernels/cpu/blocks.hpp"
#include "kernels/cpu/vector_math.hpp"
#include "kernels/cpu/visit.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gpas::cpu {
namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

float row_max(const float* logits, std::int64_t count) {
    Vec most = splat(minus_infinity);
    for_lanes(count, [&](std::int64_t i, std::int64_t n) { most = max(load_n(logits + i, n, minus_infinity), most); });
    return horizontal_max(most);
}

// Σ exp(logit - most). Four independent sums, so that a row of 32,000 columns does not wait for one chain of
// additions.
float row_exp_sum(const float* logits, std::int64_t count, float most) {
    Vec sums[4]{};
    for_lanes(count, [&](std::int64_t i, std::int64_t n) {
        sums[(i / lanes) % 4] += exp(load_n(logits + i, n, minus_infinity) - most);
    });
    return horizontal_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

}  // namespace

void cross_entropy_stats(Context& context, Tensor stats, Tensor logits, Tensor labels, std::int64_t first_column) {
    const std::int64_t columns = logits.columns();
    const RowBlocks blocks(logits.rows());
    parallel_for(context, blocks.count, [&](std::int64_t block) {
        for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t) {
            const float* row = logits.as<float>() + t * columns;
            const std::int64_t label = labels.as<std::int32_t>()[t] - first_column;
            float* out = stats.as<float>() + 3 * t;
            out[0] = row_max(row, columns);
            out[1] = row_exp_sum(row, columns, out[0]);
            out[2] = 0 <= label && label < columns ? row[label] : 0.0F;
        }
    });
}

void cross_entropy_combine(Context&, Tensor stats, Tensor parts) {
    const std::int64_t rows = stats.rows();
    const std::int64_t ranks = parts.rows() / rows;
    for (std::int64_t t = 0; t < rows; ++t) {
        const float* first = parts.as<float>() + 3 * t;
        float most = minus_infinity;
        for (std::int64_t p = 0; p < ranks; ++p) most = std::max(most, first[3 * rows * p]);
        float sum = 0.0F;
        float target = 0.0F;
        for (std::int64_t p = 0; p < ranks; ++p) {
            const float* part = first + 3 * rows * p;
            sum += part[1] * std::exp(part[0] - most);
            target += part[2];
        }
        float* out = stats.as<float>() + 3 * t;
        out[0] = most;
        out[1] = sum;
        out[2] = target;
    }
}

void cross_entropy_loss(Context&, Tensor sum, Tensor stats, Tensor labels) {
    double& total = *sum.as<double>();
    const float* row = stats.as<float>();
    for (std::int64_t t = 0; t < labels.elements(); ++t, row += 3)
        if (labels.as<std::int32_t>()[t] >= 0) total += (double(row[0]) - double(row[2])) + std::log(double(row[1]));
}

void cross_entropy_token_losses(Context&, Tensor losses, Tensor stats, Tensor labels) {
    const float* row = stats.as<float>();
    for (std::int64_t t = 0; t < labels.elements(); ++t, row += 3)
        losses.as<double>()[t] =
            labels.as<std::int32_t>()[t] >= 0 ? (double(row[0]) - double(row[2])) + std::log(double(row[1])) : 0.0;
}

void cross_entropy_backward(Context& context, const CrossEntropyBackwardArgs& args) {
    const auto& [dlogits, logits, stats, labels, first_column, factor] = args;
    const std::int64_t columns = logits.columns();
    const RowBlocks blocks(logits.rows());
    visit_float(dlogits.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_for(context, blocks.count, [&](std::int64_t block) {
            for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t) {
                const float* row = logits.as<float>() + t * columns;
                const float* of = stats.as<float>() + 3 * t;
                T* out = dlogits.as<T>() + t * columns;
                const std::int64_t label = labels.as<std::int32_t>()[t];
                const float share = label >= 0 ? factor / of[1] : 0.0F;
                const std::int64_t column = label - first_column;
                const bool here = label >= 0 && 0 <= column && column < columns;
                const float at_label = here ? row[column] : 0.0F;  // read first: dlogits may be logits
                for_lanes(columns, [&](std::int64_t i, std::int64_t n) {
                    // The gradient of a row without a label is set to 0. A product with 0 would turn Inf into NaN.
                    store_n(out + i, label >= 0 ? share * exp(load_n(row + i, n) - of[0]) : Vec{}, n);
                });
                if (here) out[column] = T(share * std::exp(at_label - of[0]) - factor);
            }
        });
    });
}

}  // namespace gpas::cpu
