#include "kernels/backend.hpp"

#include "kernels/adamw_factors.hpp"
#include "kernels/cpu/blocks.hpp"
#include "kernels/cpu/scratch_sizes.hpp"
#include "kernels/cpu/vector_math.hpp"
#include "kernels/cpu/visit.hpp"
#include "kernels/math.hpp"
#include "kernels/philox.hpp"

#include <atomic>
#include <bit>
#include <cmath>
#include <numbers>

namespace gpas::cpu {
namespace {

// Largest number of blocks of a sum over a whole tensor; it bounds the scratch memory for partial sums.
constexpr std::int64_t most_flat_blocks = 1024;

std::int64_t sum_block_elements(std::int64_t count) {
    const std::int64_t share = (count + most_flat_blocks - 1) / most_flat_blocks;
    return std::max<std::int64_t>(4096, (share + lanes - 1) / lanes * lanes);
}

Vec square_root(Vec x) {
    float a[lanes];
    store(a, x);
    for (float& value : a) value = std::sqrt(value);
    return load(a);
}

void adamw_piece(Context& context, const AdamwPiece& piece, const AdamwFactors& f) {
    bf16* copy = piece.compute ? piece.compute.as<bf16>() : nullptr;
    const float factor = piece.factor ? float(*piece.factor.as<double>()) : 1.0F;
    parallel_blocks(context, piece.w.elements(), flat_block_elements, [&](std::int64_t begin, std::int64_t end) {
        float* weight = piece.w.as<float>() + begin;
        float* first = piece.m.as<float>() + begin;
        float* second = piece.v.as<float>() + begin;
        const float* raw = piece.gradient.as<const float>() + begin;
        for_lanes(end - begin, [&](std::int64_t i, std::int64_t n) {
            const Vec g = load_n(raw + i, n) * factor;
            const Vec m_new = moved_average(f.first, load_n(first + i, n), g);
            const Vec v_new = moved_average(f.second, load_n(second + i, n), g * g);
            const Vec update = (m_new * f.first_correction) / (square_root(v_new * f.second_correction) + f.epsilon);
            const Vec w = load_n(weight + i, n);
            const Vec w_new = w - (f.rate * update + f.decay * w);
            store_n(first + i, m_new, n);
            store_n(second + i, v_new, n);
            store_n(weight + i, w_new, n);
            if (copy != nullptr) store_n(copy + begin + i, w_new, n);
        });
    });
}

double squares_of(Context& context, const Tensor& x) {
    const Arena::Scope scope(context.scratch());
    const std::int64_t block = sum_block_elements(x.elements());
    const std::int64_t count = (x.elements() + block - 1) / block;
    double* partial = scratch_array<double>(context, count);
    visit_float(x.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_blocks(context, x.elements(), block, [&](std::int64_t begin, std::int64_t end) {
            const T* from = x.as<T>() + begin;
            double block_sum = 0.0;
            for (std::int64_t at = 0; at < end - begin; at += 4096) {  // fp32 sums of 4096 elements, added in fp64
                Vec part{};
                for_lanes(std::min<std::int64_t>(4096, end - begin - at), [&](std::int64_t i, std::int64_t n) {
                    const Vec value = load_n(from + at + i, n);
                    part += value * value;
                });
                block_sum += double(horizontal_sum(part));
            }
            partial[begin / block] = block_sum;
        });
    });
    double total = 0.0;
    for (std::int64_t i = 0; i < count; ++i) total += partial[i];
    return total;
}

}  // namespace

void adamw(Context& context, std::span<const AdamwPiece> pieces, const AdamwStep& step) {
    if (step.taken && *step.taken.as<double>() == 0.0) return;
    for (const AdamwPiece& piece : pieces) adamw_piece(context, piece, adamw_factors(step, piece));
}

std::int64_t flat_scratch_bytes() { return most_flat_blocks * std::int64_t(sizeof(double)) + Arena::alignment_bytes; }

void squared_norm(Context& context, Tensor sum, std::span<const Tensor> xs) {
    for (const Tensor& x : xs) *sum.as<double>() += squares_of(context, x);
}

std::int64_t first_non_finite(Context& context, Tensor x) {
    std::atomic<std::int64_t> first{x.elements()};
    visit_float(x.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_blocks(context, x.elements(), flat_block_elements, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) {
                if (std::isfinite(float(x.as<T>()[i]))) continue;
                std::int64_t best = first.load();
                while (i < best && !first.compare_exchange_weak(best, i)) {
                }
                return;
            }
        });
    });
    return first.load() == x.elements() ? -1 : first.load();
}

std::uint64_t fingerprint(Context& context, Tensor x) {
    std::atomic<std::uint64_t> sum{0};  // integer addition: any order gives the same bits
    visit_float(x.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        using Bits = std::conditional_t<sizeof(T) == 2, std::uint16_t, std::uint32_t>;
        parallel_blocks(context, x.elements(), flat_block_elements, [&](std::int64_t begin, std::int64_t end) {
            std::uint64_t part = 0;
            for (std::int64_t i = begin; i < end; ++i) part += fingerprint_term(i, std::bit_cast<Bits>(x.as<T>()[i]));
            sum += part;
        });
    });
    return sum;
}

void cast(Context& context, Tensor y, Tensor x) {
    visit_float(y.dtype, [&](auto to) {
        visit_float(x.dtype, [&](auto from) {
            using To = typename decltype(to)::type;
            using From = typename decltype(from)::type;
            parallel_blocks(context, x.elements(), flat_block_elements, [&](std::int64_t begin, std::int64_t end) {
                for_lanes(end - begin, [&](std::int64_t i, std::int64_t n) {
                    store_n(y.as<To>() + begin + i, load_n(x.as<From>() + begin + i, n), n);
                });
            });
        });
    });
}

void fill(Context& context, Tensor x, float value) {
    visit_float(x.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_blocks(context, x.elements(), flat_block_elements, [&](std::int64_t begin, std::int64_t end) {
            std::fill(x.as<T>() + begin, x.as<T>() + end, T(value));
        });
    });
}

void scale(Context& context, Tensor y, float factor) {
    visit_float(y.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_blocks(context, y.elements(), flat_block_elements, [&](std::int64_t begin, std::int64_t end) {
            for_lanes(end - begin, [&](std::int64_t i, std::int64_t n) {
                store_n(y.as<T>() + begin + i, load_n(y.as<T>() + begin + i, n) * factor, n);
            });
        });
    });
}

// Element e uses words of Philox counter e / 2: words 0 and 1 if e is even, words 2 and 3 if e is odd. Box-Muller turns
// the two words into one normal number.
void fill_normal(Context& context, Tensor x, std::uint64_t key, std::int64_t first_element, float stddev) {
    constexpr double unit = 1.0 / 4294967296.0;
    parallel_blocks(context, x.elements(), flat_block_elements, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            const std::uint64_t element = std::uint64_t(first_element + i);
            const std::uint64_t counter = element / 2;
            const Philox4 words = philox({std::uint32_t(counter), std::uint32_t(counter >> 32), 0, 0},
                                         std::uint32_t(key), std::uint32_t(key >> 32));
            const std::size_t half = element % 2 * 2;
            const double radius = std::sqrt(-2.0 * std::log((double(words[half]) + 0.5) * unit));
            const double angle = 2.0 * std::numbers::pi * (double(words[half + 1]) + 0.5) * unit;
            x.as<float>()[i] = float(double(stddev) * radius * std::cos(angle));
        }
    });
}

}  // namespace gpas::cpu
