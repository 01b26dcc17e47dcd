// Shared by attention's forward and backward on the CPU: addresses of a head's rows, packing of rows into fp32 tiles,
// and the mask: causal, documents, window.
#pragma once

#include "kernels/cpu/tile_product.hpp"
#include "kernels/ops.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gpas::cpu {

inline constexpr std::int64_t tile = 64;  // rows of a tile: positions of queries or of keys

constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

// Rows of one head of one sample. Position t is at data + t · stride and has head_dim values. In a packed tile a row
// has `width` values: head_dim values, then zeros.
template <class T>
struct HeadRows {
    T* data;
    std::int64_t stride;
    std::int64_t head_dim;
    std::int64_t width;
    T* row(std::int64_t t) const { return data + t * stride; }
};

// out[t - begin][0, width) = factor · row t for t in [begin, begin + tile); rows t >= end become 0. out [tile][width]
template <class T>
void pack_rows(float* out, const HeadRows<T>& rows, std::int64_t begin, std::int64_t end, float factor) {
    for (std::int64_t i = 0; i < tile; ++i, out += rows.width) {
        if (begin + i >= end) {
            std::fill_n(out, rows.width, 0.0F);
            continue;
        }
        const T* from = rows.row(begin + i);
        std::fill(out + rows.head_dim, out + rows.width, 0.0F);
        for_lanes(rows.head_dim,
                  [&](std::int64_t j, std::int64_t n) { store_n(out + j, factor * load_n(from + j, n), n); });
    }
}

// out[width][tile] = in[tile][width]ᵀ
inline void transpose_tile(float* out, const float* in, std::int64_t width) {
    for (std::int64_t i = 0; i < tile; ++i)
        for (std::int64_t j = 0; j < width; ++j) out[j * tile + i] = in[i * width + j];
}

// Which keys the queries of one sample attend to. Positions beyond the end of the sequence attend to no key.
struct Mask {
    std::int64_t sequence;
    std::int64_t batch;
    const std::int32_t* segment_begin;  // of this sample's position 0, stride `batch`; null: one document
    std::int64_t window;                // 0: no limit (AttentionArgs)

    // First position that the query attends to: the beginning of its document, or of its window if that is later.
    std::int64_t first_key(std::int64_t query) const {
        const std::int64_t document = segment_begin != nullptr ? segment_begin[query * batch] : 0;
        return window > 0 ? std::max(document, query + 1 - window) : document;
    }
    // First tile of keys that a tile of queries from `query` on attends to. Later queries have no earlier first key.
    std::int64_t first_tile(std::int64_t query) const { return first_key(query) / tile; }
    // Whether the mask hides any score of this tile of queries and tile of keys.
    bool needed(std::int64_t query_begin, std::int64_t key_begin) const {
        const std::int64_t last_query = std::min(query_begin + tile, sequence) - 1;
        return key_begin + tile - 1 > query_begin || first_key(last_query) > key_begin;
    }
    // scores[tile][tile] = -inf if the query of the row does not attend to the key of the column
    void apply(float* scores, std::int64_t query_begin, std::int64_t key_begin) const {
        constexpr float hidden = -std::numeric_limits<float>::infinity();
        for (std::int64_t i = 0; i < tile; ++i, scores += tile) {
            const std::int64_t query = query_begin + i;
            if (query >= sequence) {
                std::fill_n(scores, tile, hidden);
                continue;
            }
            const std::int64_t from = std::clamp<std::int64_t>(first_key(query) - key_begin, 0, tile);
            const std::int64_t to = std::clamp<std::int64_t>(query + 1 - key_begin, 0, tile);
            std::fill_n(scores, std::min(from, to), hidden);
            std::fill(scores + to, scores + tile, hidden);
        }
    }
};

// One (sample, KV head). A single thread computes it, so that sums have a fixed order.
struct AttentionTask {
    std::int64_t sample;
    std::int64_t group;
};

// Sizes that follow from an AttentionShape, and the addresses of heads in qkv, o and lse.
struct AttentionPlaces {
    AttentionShape shape;
    std::int64_t queries;  // query heads per group
    std::int64_t width;    // head_dim rounded up to whole vectors
    std::int64_t tiles;    // per sequence
    float scale;           // 1/√head_dim

    explicit AttentionPlaces(AttentionShape s)
        : shape(s),
          queries(s.heads / s.kv_heads),
          width(round_up(s.head_dim, lanes)),
          tiles((s.sequence + tile - 1) / tile),
          scale(float(1.0 / std::sqrt(double(s.head_dim)))) {}

    std::int64_t tasks() const { return shape.batch * shape.kv_heads; }
    AttentionTask task(std::int64_t i) const { return {i / shape.kv_heads, i % shape.kv_heads}; }

    // Rows of a head in packed qkv. slot: 0 … queries-1 are the group's query heads, queries is its key head, and
    // queries + 1 its value head.
    template <class T>
    HeadRows<T> packed(T* qkv, AttentionTask t, std::int64_t slot) const {
        const std::int64_t columns = shape.qkv_columns();
        return {qkv + t.sample * columns + (t.group * (queries + 2) + slot) * shape.head_dim, shape.batch * columns,
                shape.head_dim, width};
    }
    template <class T>
    HeadRows<T> output(T* o, AttentionTask t, std::int64_t query_head) const {
        const std::int64_t columns = shape.heads * shape.head_dim;
        return {o + t.sample * columns + (t.group * queries + query_head) * shape.head_dim, shape.batch * columns,
                shape.head_dim, width};
    }
    template <class F>
    F* statistics(F* lse, AttentionTask t, std::int64_t query_head) const {
        return lse + (t.sample * shape.heads + t.group * queries + query_head) * shape.sequence;
    }
    Mask mask(const Tensor& segment_begin, AttentionTask t) const {
        return {shape.sequence, shape.batch,
                segment_begin ? segment_begin.as<const std::int32_t>() + t.sample : nullptr, shape.window};
    }
};

// Hands out consecutive parts of one block of fp32 memory.
class Slab {
public:
    explicit Slab(float* memory) : next_(memory) {}
    float* take(std::int64_t elements) {
        float* part = next_;
        next_ += elements;
        return part;
    }

private:
    float* next_;
};

}  // namespace gpas::cpu
