// AdamW, and operations on all elements of tensors of any shape. Bound by memory bandwidth: AdamW reads and writes 30
// bytes per parameter in bf16 runs (28 in fp32), squared_norm() reads 4 bytes per element of an fp32 gradient.
#include "kernels/backend.hpp"

#include "kernels/adamw_factors.hpp"
#include "kernels/cuda/launch_flat.hpp"
#include "kernels/cuda/scratch.hpp"
#include "kernels/cuda/scratch_sizes.hpp"
#include "kernels/math.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

namespace gpas::cuda {
namespace {

// ---- AdamW ----------------------------------------------------------------------------------------------------------

// A launch updates up to most_entries pieces. Their table is a kernel argument: 4 KiB of arguments work on every GPU.
struct AdamwEntry {
    float* w;
    float* m;
    float* v;
    bf16* compute;  // null: the forward pass reads w
    const float* gradient;
    const double* factor;  // multiplies the gradient; null: 1
    std::int64_t count;    // of elements
    float decay;           // learning rate · weight decay
    int first_block;       // of the launch; each block updates adamw_block_elements elements
    bool vectors;          // accesses of four elements
};
constexpr int most_entries = 48;
constexpr std::int64_t adamw_block_elements = 8192;
struct AdamwTable {
    AdamwEntry entries[most_entries];
    int count = 0;
};
static_assert(sizeof(AdamwTable) <= 4000);

template <int V>
GPAS_DEVICE void adamw_elements(const AdamwEntry& e, const AdamwFactors& f, float factor, std::int64_t i) {
    auto w = load_pack<V>(e.w + i);
    auto m = load_pack<V>(e.m + i);
    auto v = load_pack<V>(e.v + i);
    const auto raw = load_pack<V>(e.gradient + i);
    Pack<bf16, V> rounded;
    unrolled<V>([&](int j) {
        const float g = raw.v[j] * factor;
        m.v[j] = moved_average(f.first, m.v[j], g);
        v.v[j] = moved_average(f.second, v.v[j], g * g);
        const float update = (m.v[j] * f.first_correction) / (sqrtf(v.v[j] * f.second_correction) + f.epsilon);
        w.v[j] = w.v[j] - (f.rate * update + e.decay * w.v[j]);
        rounded.v[j] = bf16(w.v[j]);
    });
    store_pack(e.w + i, w);
    store_pack(e.m + i, m);
    store_pack(e.v + i, v);
    if (e.compute != nullptr) store_pack(e.compute + i, rounded);
}

GPAS_KERNEL GPAS_MOST_THREADS(flat_threads) adamw_kernel(AdamwTable table, AdamwFactors f, const double* taken) {
    if (taken != nullptr && *taken == 0.0) return;
    int which = 0;
    while (which + 1 < table.count && table.entries[which + 1].first_block <= int(blockIdx.x)) ++which;
    const AdamwEntry& e = table.entries[which];
    const float factor = e.factor != nullptr ? float(*e.factor) : 1.0F;
    const std::int64_t begin = (std::int64_t(blockIdx.x) - e.first_block) * adamw_block_elements;
    const std::int64_t end = begin + adamw_block_elements < e.count ? begin + adamw_block_elements : e.count;
    if (e.vectors)
        for (std::int64_t i = begin + std::int64_t(threadIdx.x) * 4; i < end; i += flat_threads * 4)
            adamw_elements<4>(e, f, factor, i);
    else
        for (std::int64_t i = begin + std::int64_t(threadIdx.x); i < end; i += flat_threads)
            adamw_elements<1>(e, f, factor, i);
}

AdamwEntry adamw_entry(const AdamwPiece& piece, const AdamwFactors& f, int first_block) {
    const bool aligned = aligned_16({piece.w.data, piece.m.data, piece.v.data, piece.gradient.data}) &&
                         reinterpret_cast<std::uintptr_t>(piece.compute.data) % 8 == 0;
    return {.w = piece.w.as<float>(),
            .m = piece.m.as<float>(),
            .v = piece.v.as<float>(),
            .compute = piece.compute ? piece.compute.as<bf16>() : nullptr,
            .gradient = piece.gradient.as<float>(),
            .factor = piece.factor ? piece.factor.as<double>() : nullptr,
            .count = piece.w.elements(),
            .decay = f.decay,
            .first_block = first_block,
            .vectors = aligned && piece.w.elements() % 4 == 0};
}

// ---- sums -----------------------------------------------------------------------------------------------------------

// A launch reads up to most_squared_tensors tensors. Their table is a kernel argument, as for AdamW.
struct SquaresEntry {
    const void* x;
    std::int64_t count;
    int first_block;  // of the launch
    int blocks;       // that share this tensor
    bool is_bf16;
    bool vectors;  // accesses of 16 bytes
};
struct SquaresTable {
    SquaresEntry entries[most_squared_tensors];
    int count = 0;
};
static_assert(sizeof(SquaresTable) <= 4000);

// This thread's part of Σ x²: fp32 within V elements, fp64 beyond.
template <class T, int V>
GPAS_DEVICE double squares_of(const SquaresEntry& e) {
    const T* x = static_cast<const T*>(e.x);
    double sum = 0.0;
    const std::int64_t first = (std::int64_t(blockIdx.x) - e.first_block) * flat_threads + threadIdx.x;
    for (std::int64_t i = first * V; i < e.count; i += std::int64_t(e.blocks) * flat_threads * V) {
        const auto pack = load_pack<V>(x + i);
        float squares = 0.0F;
        unrolled<V>([&](int v) { squares += to_float(pack.v[v]) * to_float(pack.v[v]); });
        sum += double(squares);
    }
    return sum;
}

// parts[block] = Σ x² of the elements of this block
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads) squares_kernel(double* parts, SquaresTable table) {
    SHARED_ARRAY(double, block_parts, warp_size);
    int which = 0;
    while (which + 1 < table.count && table.entries[which + 1].first_block <= int(blockIdx.x)) ++which;
    const SquaresEntry& e = table.entries[which];
    const double mine = e.is_bf16 ? (e.vectors ? squares_of<bf16, 8>(e) : squares_of<bf16, 1>(e))
                                  : (e.vectors ? squares_of<float, 4>(e) : squares_of<float, 1>(e));
    const double sum = block_sum(mine, block_parts);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

SquaresEntry squares_entry(const Tensor& x, int first_block) {
    const std::int64_t per_block = flat_threads * 4 * (16 / bytes_per_element(x.dtype));
    return {
        .x = x.data,
        .count = x.elements(),
        .first_block = first_block,
        .blocks = int(std::clamp<std::int64_t>((x.elements() + per_block - 1) / per_block, 1, most_blocks_per_tensor)),
        .is_bf16 = x.dtype == Dtype::bf16,
        .vectors = aligned_16({x.data}) && x.bytes() % 16 == 0};
}

// *total += Σ parts. One block.
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads) add_parts_kernel(double* total, const double* parts, std::int64_t count) {
    SHARED_ARRAY(double, block_parts, warp_size);
    double sum = 0.0;
    for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += parts[i];
    sum = block_sum(sum, block_parts);
    if (threadIdx.x == 0) *total += sum;
}

// first[block] = least index of a NaN or Inf among this block's elements; `elements` if all are finite
template <class T>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads) non_finite_kernel(std::int64_t* first, const T* x, std::int64_t elements) {
    SHARED_ARRAY(std::int64_t, least, flat_threads);
    std::int64_t mine = elements;
    const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
    for (std::int64_t i = flat_index(1); i < elements; i += step) {
        const float value = to_float(x[i]);
        if (!(value - value == 0.0F) && i < mine) mine = i;  // Inf - Inf and NaN - NaN are NaN
    }
    least[threadIdx.x] = mine;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (int i = 1; i < flat_threads; ++i) mine = least[i] < mine ? least[i] : mine;
    first[blockIdx.x] = mine;
}

GPAS_DEVICE std::uint32_t bits_of(float x) {
    std::uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
GPAS_DEVICE std::uint32_t bits_of(bf16 x) {
    std::uint16_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// sums[block] = Σ fingerprint_term over this block's elements
template <class T>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads) fingerprint_kernel(std::uint64_t* sums, const T* x, std::int64_t elements) {
    SHARED_ARRAY(std::uint64_t, parts, flat_threads);
    std::uint64_t mine = 0;
    const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
    for (std::int64_t i = flat_index(1); i < elements; i += step) mine += fingerprint_term(i, bits_of(x[i]));
    parts[threadIdx.x] = mine;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (int i = 1; i < flat_threads; ++i) mine += parts[i];
    sums[blockIdx.x] = mine;
}

// ---- elementwise ----------------------------------------------------------------------------------------------------

template <class To, class From, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads) cast_kernel(To* y, const From* x, std::int64_t elements) {
    const std::int64_t i = flat_index(V);
    if (i >= elements) return;
    const auto in = load_pack<V>(x + i);
    Pack<To, V> out;
    unrolled<V>([&](int v) { out.v[v] = from_float<To>(to_float(in.v[v])); });
    store_pack(y + i, out);
}

template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads) fill_kernel(T* x, float value, std::int64_t elements) {
    const std::int64_t i = flat_index(V);
    if (i >= elements) return;
    Pack<T, V> out;
    unrolled<V>([&](int v) { out.v[v] = from_float<T>(value); });
    store_pack(x + i, out);
}

template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads) scale_kernel(T* y, float factor, std::int64_t elements) {
    const std::int64_t i = flat_index(V);
    if (i >= elements) return;
    auto pack = load_pack<V>(y + i);
    unrolled<V>([&](int v) { pack.v[v] = from_float<T>(to_float(pack.v[v]) * factor); });
    store_pack(y + i, pack);
}

std::int64_t sum_blocks(std::int64_t elements, int v) {
    const std::int64_t per_block = std::int64_t(flat_threads) * v * 4;
    return std::clamp<std::int64_t>((elements + per_block - 1) / per_block, 1, most_flat_blocks);
}

template <class F>
void visit_float(Dtype dtype, F&& f) {
    dtype == Dtype::bf16 ? f(bf16()) : f(float());
}

}  // namespace

void adamw(Context& context, std::span<const AdamwPiece> pieces, const AdamwStep& step) {
    for (std::size_t i = 0; i < pieces.size();) {
        AdamwTable table{};
        AdamwFactors common{};
        std::int64_t blocks = 0;
        for (; i < pieces.size() && table.count < most_entries; ++i) {
            const std::int64_t count = pieces[i].w.elements();
            if (count == 0) continue;
            common = adamw_factors(step, pieces[i]);
            table.entries[table.count++] = adamw_entry(pieces[i], common, int(blocks));
            blocks += (count + adamw_block_elements - 1) / adamw_block_elements;
        }
        if (table.count == 0) return;
        launch(context.gpu(), {.grid = unsigned(blocks), .threads = flat_threads}, adamw_kernel, table, common,
               step.taken ? step.taken.as<const double>() : nullptr);
    }
}

void squared_norm(Context& context, Tensor sum, std::span<const Tensor> xs) {
    const Arena::Scope scope(context.scratch());
    auto* parts = scratch_array<double>(context, most_squared_tensors * most_blocks_per_tensor);
    for (std::size_t i = 0; i < xs.size();) {
        SquaresTable table{};
        int blocks = 0;
        for (; i < xs.size() && table.count < most_squared_tensors; ++i) {
            if (xs[i].elements() == 0) continue;
            table.entries[table.count++] = squares_entry(xs[i], blocks);
            blocks += table.entries[table.count - 1].blocks;
        }
        if (table.count == 0) return;
        launch(context.gpu(), {.grid = unsigned(blocks), .threads = flat_threads}, squares_kernel, parts, table);
        launch(context.gpu(), {.grid = 1, .threads = flat_threads}, add_parts_kernel, sum.as<double>(), parts,
               std::int64_t(blocks));
    }
}

std::int64_t first_non_finite(Context& context, Tensor x) {
    const std::int64_t elements = x.elements();
    if (elements == 0) return -1;
    const Arena::Scope scope(context.scratch());
    const std::int64_t blocks = sum_blocks(elements, 1);
    auto* parts = scratch_array<std::int64_t>(context, blocks);
    visit_float(x.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = unsigned(blocks), .threads = flat_threads}, non_finite_kernel<T>, parts,
               x.as<T>(), elements);
    });
    std::vector<std::int64_t> least(static_cast<std::size_t>(blocks));
    context.gpu().copy_to_host(least.data(), parts, blocks * std::int64_t(sizeof(std::int64_t)));
    const std::int64_t first = *std::min_element(least.begin(), least.end());
    return first == elements ? -1 : first;
}

std::uint64_t fingerprint(Context& context, Tensor x) {
    const std::int64_t elements = x.elements();
    if (elements == 0) return 0;
    const Arena::Scope scope(context.scratch());
    const std::int64_t blocks = sum_blocks(elements, 1);
    auto* parts = scratch_array<std::uint64_t>(context, blocks);
    visit_float(x.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = unsigned(blocks), .threads = flat_threads}, fingerprint_kernel<T>, parts,
               x.as<T>(), elements);
    });
    std::vector<std::uint64_t> sums(static_cast<std::size_t>(blocks));
    context.gpu().copy_to_host(sums.data(), parts, blocks * std::int64_t(sizeof(std::uint64_t)));
    return std::accumulate(sums.begin(), sums.end(), std::uint64_t(0));
}

void cast(Context& context, Tensor y, Tensor x) {
    const std::int64_t elements = x.elements();
    if (elements == 0) return;
    const bool vectors = aligned_16({y.data, x.data}) && elements % 4 == 0;
    visit_float(y.dtype, [&](auto to) {
        visit_float(x.dtype, [&](auto from) {
            using To = decltype(to);
            using From = decltype(from);
            launch(context.gpu(), {.grid = blocks_of(elements, vectors ? 4 : 1), .threads = flat_threads},
                   vectors ? cast_kernel<To, From, 4> : cast_kernel<To, From, 1>, y.as<To>(), x.as<From>(), elements);
        });
    });
}

void fill(Context& context, Tensor x, float value) {
    if (x.elements() == 0) return;
    visit_flat(x, aligned_16({x.data}), [&](auto zero, auto v) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = blocks_of(x.elements(), v), .threads = flat_threads}, fill_kernel<T, v()>,
               x.as<T>(), value, x.elements());
    });
}

void scale(Context& context, Tensor y, float factor) {
    if (y.elements() == 0) return;
    visit_flat(y, aligned_16({y.data}), [&](auto zero, auto v) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = blocks_of(y.elements(), v), .threads = flat_threads}, scale_kernel<T, v()>,
               y.as<T>(), factor, y.elements());
    });
}

}  // namespace gpas::cuda
