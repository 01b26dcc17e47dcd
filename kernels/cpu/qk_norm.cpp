#include "kernels/backend.hpp"

#include "base/range.hpp"
#include "kernels/cpu/blocks.hpp"
#include "kernels/cpu/vector_math.hpp"
#include "kernels/cpu/visit.hpp"

#include <cmath>

namespace gpas::cpu {
namespace {

// The position of one head in a row of qkv and in a row of raw, its span, and the position of its weight.
struct NormedHead {
    std::int64_t at_qkv, at_raw;  // columns
    std::int64_t span;
    bool query;
    std::int64_t at_weight;  // element of the query's or the key's weight
};

NormedHead normed_head(const QkNorm& norm, std::int64_t head) {
    const AttentionShape& s = norm.attention;
    const std::int64_t queries = s.heads / s.kv_heads;
    const bool query = head < s.heads;
    const std::int64_t own = query ? head : head - s.heads;  // among the queries, or among the keys
    const std::int64_t group = query ? own / queries : own;
    const std::int64_t slot = query ? own % queries : queries;
    return {.at_qkv = (group * (queries + 2) + slot) * s.head_dim,
            .at_raw = head * s.head_dim,
            .span = norm.whole ? (query ? 0 : 1) : head,
            .query = query,
            .at_weight = norm.whole ? own * s.head_dim : 0};
}

template <class T>
const T* weight_of(const QkNorm& norm, const NormedHead& head) {
    return (head.query ? norm.query : norm.key).as<T>() + head.at_weight;
}

float rstd_of(const QkNorm& norm, const NormedHead& head, const float* squares) {
    return 1.0F / std::sqrt(squares[head.span] / float(norm.elements(head.query)) + norm.eps);
}

// body(tag of T, block of rows, row, head), for each head of each row; the rows of a block in order.
template <class Body>
void for_each_head(Context& context, Tensor qkv, const QkNorm& norm, Body&& body) {
    const std::int64_t heads = norm.attention.heads + norm.attention.kv_heads;
    visit_float(qkv.dtype, [&](auto tag) {
        const RowBlocks blocks(qkv.rows());
        parallel_for(context, blocks.count, [&](std::int64_t block) {
            for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t)
                for (std::int64_t head = 0; head < heads; ++head) body(tag, block, t, normed_head(norm, head));
        });
    });
}

// sums [T,S] = Σ over the elements of each span of term(head's part)
template <class Term>
void sum_spans(Context& context, Tensor sums, Tensor qkv, const QkNorm& norm, Term&& term) {
    clear(context, sums);
    for_each_head(context, qkv, norm, [&](auto tag, std::int64_t, std::int64_t t, const NormedHead& head) {
        sums.as<float>()[t * norm.spans() + head.span] += horizontal_sum(term(tag, t, head));
    });
}

// dw += the sums of the blocks, in block order. partial [blocks, norm.columns()]; first: column of its first head.
void add_partials(float* dw, std::int64_t elements, const float* partial, std::int64_t blocks, Range columns,
                  std::int64_t stride) {
    for (std::int64_t j = 0; j < elements; ++j) {
        double sum = 0.0;
        for (std::int64_t block = 0; block < blocks; ++block)
            for (std::int64_t c = columns.begin + j; c < columns.end; c += elements)
                sum += double(partial[block * stride + c]);
        dw[j] += float(sum);
    }
}

}  // namespace

void qk_squares(Context& context, Tensor squares, Tensor qkv, const QkNorm& norm) {
    sum_spans(context, squares, qkv, norm, [&](auto tag, std::int64_t t, const NormedHead& head) {
        using T = typename decltype(tag)::type;
        const T* x = qkv.as<T>() + t * qkv.columns() + head.at_qkv;
        Vec sum{};
        for_lanes(norm.attention.head_dim, [&](std::int64_t i, std::int64_t n) {
            const Vec v = load_n(x + i, n);
            sum += v * v;
        });
        return sum;
    });
}

void qk_norm(Context& context, Tensor qkv, Tensor raw, Tensor squares, const QkNorm& norm) {
    for_each_head(context, qkv, norm, [&](auto tag, std::int64_t, std::int64_t t, const NormedHead& head) {
        using T = typename decltype(tag)::type;
        T* x = qkv.as<T>() + t * qkv.columns() + head.at_qkv;
        T* copy = raw ? raw.as<T>() + t * norm.columns() + head.at_raw : nullptr;
        const T* w = weight_of<T>(norm, head);
        const float rstd = rstd_of(norm, head, squares.as<float>() + t * norm.spans());
        for_lanes(norm.attention.head_dim, [&](std::int64_t i, std::int64_t n) {
            const Vec v = load_n(x + i, n);
            if (copy != nullptr) store_n(copy + i, v, n);
            store_n(x + i, load_n(w + i, n) * (v * rstd), n);
        });
    });
}

void qk_dots(Context& context, Tensor dots, Tensor dqkv, Tensor raw, const QkNorm& norm) {
    sum_spans(context, dots, dqkv, norm, [&](auto tag, std::int64_t t, const NormedHead& head) {
        using T = typename decltype(tag)::type;
        const T* dn = dqkv.as<T>() + t * dqkv.columns() + head.at_qkv;
        const T* x = raw.as<T>() + t * norm.columns() + head.at_raw;
        const T* w = weight_of<T>(norm, head);
        Vec sum{};
        for_lanes(norm.attention.head_dim, [&](std::int64_t i, std::int64_t n) {
            sum += load_n(dn + i, n) * load_n(w + i, n) * load_n(x + i, n);
        });
        return sum;
    });
}

void qk_norm_backward(Context& context, const QkNormBackwardArgs& args) {
    const auto& [dqkv, dquery, dkey, raw, squares, dots, norm] = args;
    const Arena::Scope scope(context.scratch());
    const AttentionShape& s = norm.attention;
    const std::int64_t columns = norm.columns(), blocks = RowBlocks(dqkv.rows()).count;
    float* partial = scratch_array<float>(context, blocks * columns);
    std::fill_n(partial, blocks * columns, 0.0F);
    for_each_head(context, dqkv, norm, [&](auto tag, std::int64_t block, std::int64_t t, const NormedHead& head) {
        using T = typename decltype(tag)::type;
        T* d = dqkv.as<T>() + t * dqkv.columns() + head.at_qkv;
        const T* x = raw.as<T>() + t * columns + head.at_raw;
        const T* w = weight_of<T>(norm, head);
        float* dw = partial + block * columns + head.at_raw;
        const float rstd = rstd_of(norm, head, squares.as<float>() + t * norm.spans());
        const float mean = dots.as<float>()[t * norm.spans() + head.span] / float(norm.elements(head.query));
        const float pull = rstd * rstd * rstd * mean;
        for_lanes(s.head_dim, [&](std::int64_t i, std::int64_t n) {
            const Vec vx = load_n(x + i, n), vd = load_n(d + i, n);
            store_n(dw + i, load_n(dw + i, n) + rstd * (vd * vx), n);
            store_n(d + i, rstd * (load_n(w + i, n) * vd) - pull * vx, n);
        });
    });
    const std::int64_t keys = s.heads * s.head_dim;
    add_partials(dquery.as<float>(), dquery.elements(), partial, blocks, {0, keys}, columns);
    add_partials(dkey.as<float>(), dkey.elements(), partial, blocks, {keys, columns}, columns);
}

}  // namespace gpas::cpu
