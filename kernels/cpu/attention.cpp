#include "kernels/backend.hpp"

#include "kernels/cpu/attention_tiles.hpp"
#include "kernels/cpu/blocks.hpp"
#include "kernels/cpu/scratch_sizes.hpp"
#include "kernels/cpu/visit.hpp"

#include <omp.h>

#include <cmath>

namespace gpas::cpu {
namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

// Work memory per thread, in floats.
std::int64_t forward_slab_elements(const AttentionPlaces& p) {
    return 2 * p.tiles * tile * p.width + 2 * tile * p.width + tile * tile + 2 * tile;
}
std::int64_t backward_slab_elements(const AttentionPlaces& p) {
    return 5 * p.tiles * tile * p.width + 4 * tile * p.width + 2 * tile * tile + 2 * tile;
}

// State of the online softmax of a tile of queries (FlashAttention, arXiv 2205.14135 alg. 1).
struct RunningRows {
    float* o;     // [tile][width]: Σ exp(score - most) · value, not yet divided by sum
    float* most;  // [tile]: largest score so far
    float* sum;   // [tile]: Σ exp(score - most)
};

// Replaces scores [tile][tile] by exp(score - most), with `most` the row's largest score so far including this tile,
// and rescales rows.o and rows.sum from the old to the new `most`.
void absorb_scores(float* scores, const RunningRows& rows, std::int64_t width) {
    for (std::int64_t i = 0; i < tile; ++i) {
        float* s = scores + i * tile;
        Vec most = load(s);
        for (std::int64_t j = lanes; j < tile; j += lanes) most = max(most, load(s + j));
        const float now = std::max(rows.most[i], horizontal_max(most));
        if (now == minus_infinity) {  // all scores masked so far
            std::fill_n(s, tile, 0.0F);
            continue;
        }
        Vec sum{};
        for (std::int64_t j = 0; j < tile; j += lanes) {
            const Vec p = exp(load(s + j) - now);
            store(s + j, p);
            sum += p;
        }
        const float keep = std::exp(rows.most[i] - now);
        rows.most[i] = now;
        rows.sum[i] = rows.sum[i] * keep + horizontal_sum(sum);
        if (keep == 1.0F) continue;
        float* o = rows.o + i * width;
        for (std::int64_t j = 0; j < width; j += lanes) store(o + j, load(o + j) * keep);
    }
}

// Work memory per thread of attention_last(), in floats: scaled query, sum, scores. Less than forward_slab_elements().
std::int64_t last_slab_elements(const AttentionPlaces& p) { return 2 * p.width + p.tiles * tile; }

// scores[0, count) ← exp(score - largest score). Returns their sum.
float exponentiate(float* scores, std::int64_t count) {
    const float most = *std::max_element(scores, scores + count);
    Vec sum{};
    for_lanes(count, [&](std::int64_t j, std::int64_t n) {
        const Vec p = exp(load_n(scores + j, n, minus_infinity) - most);  // 0 in lanes past the end
        store_n(scores + j, p, n);
        sum += p;
    });
    return horizontal_sum(sum);
}

// The last position of query head i = sample · heads + head. It reads keys and values in place: each is read once.
template <class T>
void last_of_head(T* o, const T* qkv, const AttentionPlaces& p, std::int64_t i, float* memory) {
    const AttentionShape& s = p.shape;
    const std::int64_t head = i % s.heads;
    const AttentionTask task{.sample = i / s.heads, .group = head / p.queries};
    const HeadRows<const T> keys = p.packed(qkv, task, p.queries);
    const HeadRows<const T> values = p.packed(qkv, task, p.queries + 1);
    float* query = memory;
    float* sum = query + p.width;
    float* scores = sum + p.width;
    const T* last = p.packed(qkv, task, head % p.queries).row(s.sequence - 1);
    for_lanes(s.head_dim, [&](std::int64_t j, std::int64_t n) {
        store(query + j, load_n(last + j, n) * p.scale);
        store(sum + j, Vec{});
    });
    const std::int64_t first = p.mask({}, task).first_key(s.sequence - 1), seen = s.sequence - first;
    for (std::int64_t t = 0; t < seen; ++t) {
        Vec products{};
        const T* key = keys.row(first + t);
        for_lanes(s.head_dim,
                  [&](std::int64_t j, std::int64_t n) { products += load(query + j) * load_n(key + j, n); });
        scores[t] = horizontal_sum(products);
    }
    const float total = exponentiate(scores, seen);
    for (std::int64_t t = 0; t < seen; ++t) {
        const T* value = values.row(first + t);
        for_lanes(s.head_dim, [&](std::int64_t j, std::int64_t n) {
            store(sum + j, load(sum + j) + scores[t] * load_n(value + j, n));
        });
    }
    for_lanes(s.head_dim,
              [&](std::int64_t j, std::int64_t n) { store_n(o + i * s.head_dim + j, load(sum + j) / total, n); });
}

// Forward of one (sample, KV head). It packs all keys (transposed) and values of the head, then loops over query heads
// and tiles of queries.
template <class T>
class ForwardTask {
public:
    ForwardTask(const AttentionPlaces& places, float* memory) : p_(places) {
        Slab slab(memory);
        keys_t_ = slab.take(p_.tiles * tile * p_.width);
        values_ = slab.take(p_.tiles * tile * p_.width);
        query_ = slab.take(tile * p_.width);
        rows_.o = slab.take(tile * p_.width);
        scores_ = slab.take(tile * tile);
        rows_.most = slab.take(tile);
        rows_.sum = slab.take(tile);
    }

    void run(T* o, float* lse, const T* qkv, AttentionTask task, const Mask& mask) {
        for (std::int64_t j = 0; j < p_.tiles; ++j) {
            const std::int64_t at = j * tile * p_.width;
            pack_rows(query_, p_.packed(qkv, task, p_.queries), j * tile, mask.sequence, 1.0F);
            transpose_tile(keys_t_ + at, query_, p_.width);
            pack_rows(values_ + at, p_.packed(qkv, task, p_.queries + 1), j * tile, mask.sequence, 1.0F);
        }
        for (std::int64_t head = 0; head < p_.queries; ++head)
            for (std::int64_t i = 0; i < p_.tiles; ++i) {
                pack_rows(query_, p_.packed(qkv, task, head), i * tile, mask.sequence, p_.scale);
                attend(i * tile, mask);
                write(p_.output(o, task, head), p_.statistics(lse, task, head), i * tile, mask.sequence);
            }
    }

private:
    void attend(std::int64_t query_begin, const Mask& mask) {
        const std::int64_t width = p_.width;
        std::fill_n(rows_.o, tile * width, 0.0F);
        std::fill_n(rows_.most, tile, minus_infinity);
        std::fill_n(rows_.sum, tile, 0.0F);
        for (std::int64_t j = mask.first_tile(query_begin); j * tile <= query_begin; ++j) {
            tile_product(scores_, tile, {query_, width, 1}, keys_t_ + j * tile * width, tile, tile, tile, width, false);
            if (mask.needed(query_begin, j * tile)) mask.apply(scores_, query_begin, j * tile);
            absorb_scores(scores_, rows_, width);
            tile_product(rows_.o, width, {scores_, tile, 1}, values_ + j * tile * width, width, tile, width, tile,
                         true);
        }
    }

    void write(const HeadRows<T>& o, float* lse, std::int64_t begin, std::int64_t end) const {
        for (std::int64_t i = 0; i < tile && begin + i < end; ++i) {
            const float share = 1.0F / rows_.sum[i];
            const float* from = rows_.o + i * p_.width;
            T* to = o.row(begin + i);
            for_lanes(o.head_dim,
                      [&](std::int64_t j, std::int64_t n) { store_n(to + j, load_n(from + j, n) * share, n); });
            lse[begin + i] = rows_.most[i] + std::log(rows_.sum[i]);
        }
    }

    const AttentionPlaces& p_;
    float *keys_t_, *values_, *query_, *scores_;
    RunningRows rows_;
};

// Backward of one (sample, KV head) (FlashAttention, arXiv 2205.14135 alg. 4). For each tile of queries i and tile of
// keys j, with S = Q Kᵀ (Q scaled by 1/√head_dim), P = exp(S - lse) and delta_i = Σ do_i o_i:
//   dV += Pᵀ dO;  dP = dO Vᵀ;  dS = P (dP - delta);  dQ += dS K;  dK += dSᵀ Q
template <class T>
class BackwardTask {
public:
    BackwardTask(const AttentionPlaces& places, float* memory) : p_(places) {
        Slab slab(memory);
        const std::int64_t all = p_.tiles * tile * p_.width;
        keys_ = slab.take(all);
        keys_t_ = slab.take(all);
        values_t_ = slab.take(all);
        dkeys_ = slab.take(all);
        dvalues_ = slab.take(all);
        query_ = slab.take(tile * p_.width);
        d_o_ = slab.take(tile * p_.width);
        dquery_ = slab.take(tile * p_.width);
        spare_ = slab.take(tile * p_.width);
        probabilities_ = slab.take(tile * tile);
        dscores_ = slab.take(tile * tile);
        delta_ = slab.take(tile);
        lse_ = slab.take(tile);
    }

    void run(T* dqkv, const T* d_o, const T* o, const float* lse, const T* qkv, AttentionTask task, const Mask& mask) {
        const std::int64_t sequence = mask.sequence;
        for (std::int64_t j = 0; j < p_.tiles; ++j) {
            const std::int64_t at = j * tile * p_.width;
            pack_rows(keys_ + at, p_.packed(qkv, task, p_.queries), j * tile, sequence, 1.0F);
            transpose_tile(keys_t_ + at, keys_ + at, p_.width);
            pack_rows(spare_, p_.packed(qkv, task, p_.queries + 1), j * tile, sequence, 1.0F);
            transpose_tile(values_t_ + at, spare_, p_.width);
        }
        std::fill_n(dkeys_, p_.tiles * tile * p_.width, 0.0F);
        std::fill_n(dvalues_, p_.tiles * tile * p_.width, 0.0F);
        for (std::int64_t head = 0; head < p_.queries; ++head)
            for (std::int64_t i = 0; i < p_.tiles; ++i) {
                const std::int64_t begin = i * tile;
                pack_rows(query_, p_.packed(qkv, task, head), begin, sequence, p_.scale);
                pack_rows(d_o_, p_.output(d_o, task, head), begin, sequence, 1.0F);
                pack_rows(spare_, p_.output(o, task, head), begin, sequence, 1.0F);
                load_statistics(p_.statistics(lse, task, head), begin, sequence);
                differentiate(begin, mask);
                write(p_.packed(dqkv, task, head), dquery_, begin, sequence, p_.scale);
            }
        for (std::int64_t j = 0; j < p_.tiles; ++j) {
            const std::int64_t at = j * tile * p_.width;
            write(p_.packed(dqkv, task, p_.queries), dkeys_ + at, j * tile, sequence, 1.0F);
            write(p_.packed(dqkv, task, p_.queries + 1), dvalues_ + at, j * tile, sequence, 1.0F);
        }
    }

private:
    void load_statistics(const float* lse, std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = 0; i < tile; ++i) {
            lse_[i] = begin + i < end ? lse[begin + i] : 0.0F;
            Vec sum{};
            for (std::int64_t j = 0; j < p_.width; j += lanes)
                sum += load(d_o_ + i * p_.width + j) * load(spare_ + i * p_.width + j);
            delta_[i] = horizontal_sum(sum);
        }
    }

    void differentiate(std::int64_t query_begin, const Mask& mask) {
        const std::int64_t width = p_.width;
        std::fill_n(dquery_, tile * width, 0.0F);
        for (std::int64_t j = mask.first_tile(query_begin); j * tile <= query_begin; ++j) {
            const std::int64_t at = j * tile * width;
            tile_product(probabilities_, tile, {query_, width, 1}, keys_t_ + at, tile, tile, tile, width, false);
            if (mask.needed(query_begin, j * tile)) mask.apply(probabilities_, query_begin, j * tile);
            tile_product(dscores_, tile, {d_o_, width, 1}, values_t_ + at, tile, tile, tile, width, false);
            for (std::int64_t i = 0; i < tile; ++i)
                for (std::int64_t k = i * tile; k < (i + 1) * tile; k += lanes) {
                    const Vec p = exp(load(probabilities_ + k) - lse_[i]);
                    store(probabilities_ + k, p);
                    store(dscores_ + k, p * (load(dscores_ + k) - delta_[i]));
                }
            tile_product(dvalues_ + at, width, {probabilities_, 1, tile}, d_o_, width, tile, width, tile, true);
            tile_product(dquery_, width, {dscores_, tile, 1}, keys_ + at, width, tile, width, tile, true);
            tile_product(dkeys_ + at, width, {dscores_, 1, tile}, query_, width, tile, width, tile, true);
        }
    }

    void write(const HeadRows<T>& rows, const float* from, std::int64_t begin, std::int64_t end, float factor) const {
        for (std::int64_t i = 0; i < tile && begin + i < end; ++i, from += p_.width) {
            T* to = rows.row(begin + i);
            for_lanes(rows.head_dim,
                      [&](std::int64_t j, std::int64_t n) { store_n(to + j, factor * load_n(from + j, n), n); });
        }
    }

    const AttentionPlaces& p_;
    float *keys_, *keys_t_, *values_t_, *dkeys_, *dvalues_;
    float *query_, *d_o_, *dquery_, *spare_, *probabilities_, *dscores_, *delta_, *lse_;
};

}  // namespace

std::int64_t attention_scratch_bytes(AttentionShape shape, int threads) {
    if (shape.heads == 0) return 0;  // a context that never runs attention
    return threads * backward_slab_elements(AttentionPlaces(shape)) * 4 + Arena::alignment_bytes;
}

void attention(Context& context, const AttentionArgs& args) {
    const auto& [o, lse, qkv, shape, segment_begin] = args;
    const Arena::Scope scope(context.scratch());
    const AttentionPlaces places(shape);
    const std::int64_t slab = forward_slab_elements(places);
    float* memory = scratch_array<float>(context, context.threads() * slab);
    visit_float(qkv.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_for(context, places.tasks(), [&](std::int64_t i) {
            const AttentionTask task = places.task(i);
            ForwardTask<T>(places, memory + omp_get_thread_num() * slab)
                .run(o.as<T>(), lse.as<float>(), qkv.as<T>(), task, places.mask(segment_begin, task));
        });
    });
}

void attention_last(Context& context, Tensor o, Tensor qkv, AttentionShape shape) {
    const Arena::Scope scope(context.scratch());
    const AttentionPlaces places(shape);
    const std::int64_t slab = last_slab_elements(places);
    float* memory = scratch_array<float>(context, context.threads() * slab);
    visit_float(qkv.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_for(context, shape.batch * shape.heads, [&](std::int64_t i) {
            last_of_head(o.as<T>(), qkv.as<T>(), places, i, memory + omp_get_thread_num() * slab);
        });
    });
}

void attention_backward(Context& context, const AttentionBackwardArgs& args) {
    const auto& [dqkv, d_o, o, lse, qkv, shape, segment_begin] = args;
    const Arena::Scope scope(context.scratch());
    const AttentionPlaces places(shape);
    const std::int64_t slab = backward_slab_elements(places);
    float* memory = scratch_array<float>(context, context.threads() * slab);
    visit_float(qkv.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_for(context, places.tasks(), [&](std::int64_t i) {
            const AttentionTask task = places.task(i);
            BackwardTask<T>(places, memory + omp_get_thread_num() * slab)
                .run(dqkv.as<T>(), d_o.as<T>(), o.as<T>(), lse.as<float>(), qkv.as<T>(), task,
                     places.mask(segment_begin, task));
        });
    });
}

}  // namespace gpas::cpu
