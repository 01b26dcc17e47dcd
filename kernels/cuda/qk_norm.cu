// RMSNorm of queries and keys before RoPE. Bound by memory bandwidth: a pass that sums each span, then a pass over the
// elements, because under tensor parallelism the sums of a span are added up over the ranks in between.
#include "kernels/backend.hpp"

#include "kernels/cuda/launch_flat.hpp"
#include "kernels/cuda/residual_sums.cuh"

namespace gpas::cuda {
namespace {

// The sizes of QkNorm, and its weights as pointers.
template <class T>
struct DeviceQkNorm {
    AttentionShape attention;
    bool whole;
    float eps;
    float query_elements, key_elements;  // N of a span
    const T* query;
    const T* key;
};

template <class T>
DeviceQkNorm<T> device_norm(const QkNorm& norm) {
    return {norm.attention,
            norm.whole,
            norm.eps,
            float(norm.elements(true)),
            float(norm.elements(false)),
            norm.query ? norm.query.as<T>() : nullptr,
            norm.key ? norm.key.as<T>() : nullptr};
}

// One element of a row's queries and keys, by its column of raw.
struct Place {
    std::int64_t at_qkv;  // column of qkv
    std::int64_t span;
    bool query;
    std::int64_t at_weight;  // element of the query's or the key's weight
};

template <class T>
GPAS_DEVICE Place place_of(const DeviceQkNorm<T>& norm, std::int64_t column) {
    const AttentionShape& s = norm.attention;
    const std::int64_t queries = s.heads / s.kv_heads;
    const std::int64_t head = column / s.head_dim;
    const std::int64_t in_head = column - head * s.head_dim;
    const bool query = head < s.heads;
    const std::int64_t own = query ? head : head - s.heads;
    const std::int64_t group = query ? own / queries : own;
    const std::int64_t slot = query ? own - group * queries : queries;
    return {.at_qkv = (group * (queries + 2) + slot) * s.head_dim + in_head,
            .span = norm.whole ? (query ? 0 : 1) : head,
            .query = query,
            .at_weight = norm.whole ? own * s.head_dim + in_head : in_head};
}

template <class T>
GPAS_DEVICE float rstd_at(const DeviceQkNorm<T>& norm, const Place& place, float squares) {
    return rsqrtf(squares / (place.query ? norm.query_elements : norm.key_elements) + norm.eps);
}

// The columns of raw that a span covers begin at begin_of_span.
template <class T>
GPAS_DEVICE std::int64_t begin_of_span(const DeviceQkNorm<T>& norm, std::int64_t span) {
    const AttentionShape& s = norm.attention;
    return (norm.whole ? span * s.heads : span) * s.head_dim;
}
template <class T>
GPAS_DEVICE std::int64_t columns_of_span(const DeviceQkNorm<T>& norm, std::int64_t span) {
    const AttentionShape& s = norm.attention;
    return (!norm.whole ? 1 : span == 0 ? s.heads : s.kv_heads) * s.head_dim;
}

// sums (=): a warp per row and span. With raw: Σ dn w x, where qkv holds dn; without: Σ x², where qkv holds x.
template <class T, int V, bool WITH_RAW>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    span_sums_kernel(float* sums, const T* qkv, const T* raw, DeviceQkNorm<T> norm, std::int64_t spans,
                     std::int64_t count) {
    const std::int64_t warp = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
    if (warp >= count) return;
    const int lane = int(threadIdx.x) % warp_size;
    const std::int64_t row = warp / spans;
    const std::int64_t span = warp - row * spans;
    const std::int64_t first = begin_of_span(norm, span);
    const std::int64_t columns = columns_of_span(norm, span);
    const std::int64_t raw_columns = (norm.attention.heads + norm.attention.kv_heads) * norm.attention.head_dim;
    float sum = 0.0F;
    for (std::int64_t i = lane * V; i < columns; i += warp_size * V) {
        const Place place = place_of(norm, first + i);
        const auto a = load_pack<V>(qkv + row * norm.attention.qkv_columns() + place.at_qkv);
        if (WITH_RAW) {
            const auto x = load_pack<V>(raw + row * raw_columns + first + i);
            const auto w = load_pack<V>((place.query ? norm.query : norm.key) + place.at_weight);
            unrolled<V>([&](int v) { sum += to_float(a.v[v]) * to_float(w.v[v]) * to_float(x.v[v]); });
        } else {
            unrolled<V>([&](int v) { sum += to_float(a.v[v]) * to_float(a.v[v]); });
        }
    }
    sum = warp_sum(sum);
    if (lane == 0) sums[warp] = sum;
}

// raw = x if raw is not null; qkv: x becomes n. A thread has V columns of a row of raw.
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    qk_norm_kernel(T* qkv, T* raw, const float* squares, DeviceQkNorm<T> norm, std::int64_t spans,
                   std::int64_t elements, std::int64_t columns) {
    const std::int64_t i = flat_index(V);
    if (i >= elements) return;
    const std::int64_t row = i / columns;
    const Place place = place_of(norm, i - row * columns);
    T* at = qkv + row * norm.attention.qkv_columns() + place.at_qkv;
    auto x = load_pack<V>(at);
    if (raw != nullptr) store_pack(raw + i, x);
    const auto w = load_pack<V>((place.query ? norm.query : norm.key) + place.at_weight);
    const float rstd = rstd_at(norm, place, squares[row * spans + place.span]);
    unrolled<V>([&](int v) { x.v[v] = from_float<T>(to_float(w.v[v]) * (to_float(x.v[v]) * rstd)); });
    store_pack(at, x);
}

// dqkv: dn becomes dx. partial [gridDim.x][columns] (=): Σ dn x rstd over the rows block, block + blocks, …. A thread
// has V columns of raw; blockIdx.y is the tile of columns.
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    qk_norm_backward_kernel(T* dqkv, float* query_partial, float* key_partial, const T* raw, const float* squares,
                            const float* dots, DeviceQkNorm<T> norm, std::int64_t spans, std::int64_t rows) {
    const AttentionShape& s = norm.attention;
    const std::int64_t queries = s.heads * s.head_dim;
    const std::int64_t columns = queries + s.kv_heads * s.head_dim;
    const std::int64_t column = (std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x) * V;
    if (column >= columns) return;
    const Place place = place_of(norm, column);
    const float count = place.query ? norm.query_elements : norm.key_elements;
    const auto w = load_pack<V>((place.query ? norm.query : norm.key) + place.at_weight);
    float dw[V] = {};
    for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        T* at = dqkv + row * s.qkv_columns() + place.at_qkv;
        auto d = load_pack<V>(at);
        const auto x = load_pack<V>(raw + row * columns + column);
        const float rstd = rstd_at(norm, place, squares[row * spans + place.span]);
        const float pull = rstd * rstd * rstd * (dots[row * spans + place.span] / count);
        unrolled<V>([&](int v) {
            const float dn = to_float(d.v[v]);
            const float vx = to_float(x.v[v]);
            dw[v] += rstd * (dn * vx);
            d.v[v] = from_float<T>(rstd * (to_float(w.v[v]) * dn) - pull * vx);
        });
        store_pack(at, d);
    }
    float* partial = place.query ? query_partial + blockIdx.x * queries + column
                                 : key_partial + blockIdx.x * (columns - queries) + column - queries;
    unrolled<V>([&](int v) { partial[v] = dw[v]; });
}

bool whole_heads(const QkNorm& norm, Dtype dtype) {
    return norm.attention.head_dim * bytes_per_element(dtype) % 16 == 0;
}

template <bool WITH_RAW>
void span_sums(Context& context, Tensor sums, Tensor qkv, Tensor raw, const QkNorm& norm) {
    if (sums.elements() == 0) return;
    const bool aligned = aligned_16({qkv.data, raw.data, norm.query.data, norm.key.data});
    visit_width(qkv.dtype, aligned && whole_heads(norm, qkv.dtype), [&](auto zero, auto v) {
        using T = decltype(zero);
        const unsigned blocks = blocks_of(sums.elements() * warp_size, 1);
        launch(context.gpu(), {.grid = blocks, .threads = flat_threads}, span_sums_kernel<T, v(), WITH_RAW>,
               sums.as<float>(), qkv.as<T>(), WITH_RAW ? raw.as<T>() : nullptr, device_norm<T>(norm), norm.spans(),
               sums.elements());
    });
}

}  // namespace

void qk_squares(Context& context, Tensor squares, Tensor qkv, const QkNorm& norm) {
    span_sums<false>(context, squares, qkv, {}, norm);
}

void qk_norm(Context& context, Tensor qkv, Tensor raw, Tensor squares, const QkNorm& norm) {
    const std::int64_t columns = norm.columns(), elements = qkv.rows() * columns;
    if (elements == 0) return;
    const bool aligned = aligned_16({qkv.data, raw.data, norm.query.data, norm.key.data});
    visit_width(qkv.dtype, aligned && whole_heads(norm, qkv.dtype), [&](auto zero, auto v) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = blocks_of(elements, v), .threads = flat_threads}, qk_norm_kernel<T, v()>,
               qkv.as<T>(), raw ? raw.as<T>() : nullptr, squares.as<float>(), device_norm<T>(norm), norm.spans(),
               elements, columns);
    });
}

void qk_dots(Context& context, Tensor dots, Tensor dqkv, Tensor raw, const QkNorm& norm) {
    span_sums<true>(context, dots, dqkv, raw, norm);
}

// The partial sums of a block are those of its heads one after the other. If heads share the weight, each head counts as
// a block of finish_sums().
void qk_norm_backward(Context& context, const QkNormBackwardArgs& args) {
    const auto& [dqkv, dquery, dkey, raw, squares, dots, norm] = args;
    const AttentionShape& s = norm.attention;
    const std::int64_t rows = dqkv.rows();
    if (rows == 0) return;
    const Arena::Scope scope(context.scratch());
    const std::int64_t blocks = blocks_for_column_sums(rows);
    const Partials of_queries = partials(context, blocks, s.heads * s.head_dim, {});
    const Partials of_keys = partials(context, blocks, s.kv_heads * s.head_dim, {});
    const bool aligned = aligned_16({dqkv.data, raw.data, norm.query.data, norm.key.data});
    visit_width(dqkv.dtype, aligned && whole_heads(norm, dqkv.dtype), [&](auto zero, auto v) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = dim3(unsigned(blocks), blocks_of(norm.columns(), v)), .threads = flat_threads},
               qk_norm_backward_kernel<T, v()>, dqkv.as<T>(), of_queries.dw, of_keys.dw, raw.as<T>(),
               squares.as<float>(), dots.as<float>(), device_norm<T>(norm), norm.spans(), rows);
    });
    finish_sums(context, dquery, {}, of_queries, norm.whole ? blocks : blocks * s.heads, {}, {});
    finish_sums(context, dkey, {}, of_keys, norm.whole ? blocks : blocks * s.kv_heads, {}, {});
}

}  // namespace gpas::cuda
