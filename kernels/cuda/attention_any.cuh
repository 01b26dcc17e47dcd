// Attention for any head_dim up to 128 and both dtypes, on CUDA cores in fp32. It runs for fp32 tensors, and for bf16
// tensors if head_dim has no tensor-core kernel or a pointer is not 16-byte aligned. A block has 16 stationary rows, 4
// per warp, and loops over moving tiles of 32 positions, one position per lane. Bound by shared memory.
#pragma once

#include "kernels/cuda/device/attention_rows.cuh"

namespace gpas::cuda {

inline constexpr int any_warps = 4;
inline constexpr int any_rows_per_warp = 4;
inline constexpr int any_rows = any_warps * any_rows_per_warp;  // stationary rows of a block
inline constexpr int any_tile = warp_size;                      // positions of a moving tile
inline constexpr int any_threads = any_warps * warp_size;
inline constexpr int any_largest_head = 128;
inline constexpr int any_columns = any_largest_head / warp_size;  // columns of an accumulated row per lane, at most

// Dynamic shared memory of the three attention_any kernels (struct AnyBlock). All rows are fp32 of pitch head_dim + 1
// elements, so that for an even head_dim the lanes of a warp, one row each, read 32 different banks.
//
//                            moving                      stationary
//                            tile_a       tile_b         own_a        own_b
//   0                        +------------+------------+------------+------------+ any_shared_bytes
//   attention_any_kernel     | keys       | values     | queries    | (unused)   |
//   attention_any_dq_kernel  | keys       | values     | queries    | d_o        |
//   attention_any_dkv_kernel | queries    | d_o        | keys       | values     |
//                            +------------+------------+------------+------------+
//                              32 rows      32 rows      16 rows      16 rows
//
//   bytes: 384 · (head_dim + 1); 24 960 for head_dim = 64, 49 536 for head_dim = 128
//
// Each kernel has 512 bytes of static shared memory in addition: all_weights, 32 floats per warp (add_weighted).
inline std::int64_t any_shared_bytes(std::int64_t head_dim) {
    return 2 * (any_tile + any_rows) * (head_dim + 1) * std::int64_t(sizeof(float));
}

// Copies rows [begin, begin + count) of a head into shared memory as floats; rows beyond the end of the sequence are 0.
template <class T>
GPAS_DEVICE void load_rows(float* to, const T* from, std::int64_t stride, std::int64_t begin, int count,
                           std::int64_t sequence, int dim) {
    for (int i = int(threadIdx.x); i < count * dim; i += any_threads) {
        const int row = i / dim;
        const int column = i - row * dim;
        const bool exists = begin + row < sequence;
        to[row * (dim + 1) + column] = exists ? to_float(from[(begin + row) * stride + column]) : 0.0F;
    }
}

GPAS_DEVICE float dot(const float* a, const float* b, int dim) {
    float sum = 0.0F;
#pragma unroll 4
    for (int c = 0; c < dim; ++c) sum += a[c] * b[c];
    return sum;
}

// acc += Σ over lanes of weight · rows[lane]. A lane has columns lane, lane + 32, … of the sum in acc. weights: 32
// floats in shared memory that only this warp uses. rows: any_tile rows of pitch dim + 1. All lanes must call it.
GPAS_DEVICE void add_weighted(float* acc, float weight, float* weights, const float* rows, int dim) {
    const int lane = int(threadIdx.x) % warp_size;
    __syncwarp();  // all lanes have read the weights of the previous call
    weights[lane] = weight;
    __syncwarp();
#pragma unroll 4
    for (int j = 0; j < any_tile; ++j) {
        unrolled<any_columns>([&](int i) {
            if (lane + i * warp_size < dim) acc[i] += weights[j] * rows[j * (dim + 1) + lane + i * warp_size];
        });
    }
}

// to[0, dim) = factor · acc, with acc distributed over the lanes as in add_weighted().
template <class T>
GPAS_DEVICE void store_row(T* to, const float* acc, float factor, int dim) {
    const int lane = int(threadIdx.x) % warp_size;
    unrolled<any_columns>([&](int i) {
        if (lane + i * warp_size < dim) to[lane + i * warp_size] = from_float<T>(acc[i] * factor);
    });
}

// What a block of each of the three kernels has: its parts of shared memory (see the map at any_shared_bytes()), and its
// stationary rows.
struct AnyBlock {
    float *tile_a, *tile_b, *own_a, *own_b;
    float* weights;      // of this warp, for add_weighted()
    int dim;             // head_dim
    std::int64_t first;  // position of the block's first stationary row
    int lane, warp;
};
GPAS_DEVICE AnyBlock any_block(unsigned char* shared, float* all_weights, int dim) {
    auto* floats = reinterpret_cast<float*>(shared);
    const int row = dim + 1;
    const int warp = int(threadIdx.x) / warp_size;
    return {.tile_a = floats,
            .tile_b = floats + any_tile * row,
            .own_a = floats + 2 * any_tile * row,
            .own_b = floats + (2 * any_tile + any_rows) * row,
            .weights = all_weights + warp * warp_size,
            .dim = dim,
            .first = std::int64_t(blockIdx.x) * any_rows,
            .lane = int(threadIdx.x) % warp_size,
            .warp = warp};
}
// Loads the moving tiles that begin at position `begin`, from a to tile_a and from b to tile_b. Rows of a and b are
// a_stride and b_stride elements apart.
template <class T>
GPAS_DEVICE void load_any_tiles(const AnyBlock& block, const T* a, std::int64_t a_stride, const T* b,
                                std::int64_t b_stride, std::int64_t begin, std::int64_t sequence) {
    load_rows(block.tile_a, a, a_stride, begin, any_tile, sequence, block.dim);
    load_rows(block.tile_b, b, b_stride, begin, any_tile, sequence, block.dim);
}
// f(r, position, offset) for each stationary row r of this warp that is a row of the sequence. offset: of the row in
// own_a and own_b. All lanes of a warp make the same calls.
template <class F>
GPAS_DEVICE void for_own_rows(const AnyBlock& block, std::int64_t sequence, F&& f) {
    unrolled<any_rows_per_warp>([&](int r) {
        const int row = block.warp * any_rows_per_warp + r;
        if (block.first + row < sequence) f(r, block.first + row, row * (block.dim + 1));
    });
}

// Position of the first tile of keys that the window of the query at `first`, or of a later query, reaches.
GPAS_DEVICE std::int64_t first_any_tile(const AttentionShape& s, std::int64_t first) {
    return first_seen(nullptr, s, 0, first) / any_tile * any_tile;
}

constexpr float any_least = -3.0e38F;  // below every score, and finite

// o and lse (=) of 16 queries of one head, by online softmax. Grid: (blocks of 16 queries, batch · heads).
template <class T>
GPAS_KERNEL GPAS_MOST_THREADS(any_threads) attention_any_kernel(T* o, float* lse, const T* qkv, AttentionShape s,
                                                                const std::int32_t* segment_begin, float scale) {
    DYNAMIC_SHARED(shared);  // see the map at any_shared_bytes()
    SHARED_ARRAY(float, all_weights, any_threads);
    const int dim = int(s.head_dim);
    const AnyBlock block = any_block(shared, all_weights, dim);
    const std::int64_t first = block.first;
    const std::int64_t sample = blockIdx.y / s.heads;
    const HeadRows at = head_rows(s, sample, blockIdx.y % s.heads);
    load_rows(block.own_a, qkv + at.q, at.qkv_stride, first, any_rows, s.sequence, dim);

    float most[any_rows_per_warp];
    float sum[any_rows_per_warp];
    float acc[any_rows_per_warp][any_columns] = {};
    unrolled<any_rows_per_warp>([&](int r) {
        most[r] = any_least;
        sum[r] = 0.0F;
    });
    for (std::int64_t begin = first_any_tile(s, first); begin < first + any_rows && begin < s.sequence;
         begin += any_tile) {
        __syncthreads();  // all threads have finished reading the previous tiles
        load_any_tiles(block, qkv + at.k, at.qkv_stride, qkv + at.v, at.qkv_stride, begin, s.sequence);
        __syncthreads();
        for_own_rows(block, s.sequence, [&](int r, std::int64_t t, int own) {
            const std::int64_t u = begin + block.lane;
            const bool sees = first_seen(segment_begin, s, sample, t) <= u && u <= t;
            const float* q = block.own_a + own;
            const float score = sees ? scale * dot(q, block.tile_a + block.lane * (dim + 1), dim) : any_least;
            const float tile_most = warp_max(score);
            const float now = tile_most > most[r] ? tile_most : most[r];
            const float keep = expf(most[r] - now);
            const float p = sees ? expf(score - now) : 0.0F;
            sum[r] = sum[r] * keep + warp_sum(p);
            most[r] = now;
            unrolled<any_columns>([&](int i) { acc[r][i] *= keep; });
            add_weighted(acc[r], p, block.weights, block.tile_b, dim);
        });
    }
    for_own_rows(block, s.sequence, [&](int r, std::int64_t t, int) {
        store_row(o + at.o + t * at.o_stride, acc[r], 1.0F / sum[r], dim);
        if (block.lane == 0) lse[at.statistics + t] = most[r] + logf(sum[r]);
    });
}

// delta[sample · heads + head, t] = Σ do ⊙ o over the columns of the head. One warp per (head, t).
template <class T>
GPAS_KERNEL GPAS_MOST_THREADS(any_threads)
    attention_delta_kernel(float* delta, const T* d_o, const T* o, AttentionShape s) {
    const std::int64_t row = std::int64_t(blockIdx.x) * any_warps + int(threadIdx.x) / warp_size;
    if (row >= s.sequence * s.batch * s.heads) return;
    const std::int64_t t = row % s.sequence;
    const std::int64_t head = row / s.sequence;  // sample · heads + head
    const std::int64_t at = (t * s.batch * s.heads + head) * s.head_dim;
    float sum = 0.0F;
    for (std::int64_t c = int(threadIdx.x) % warp_size; c < s.head_dim; c += warp_size)
        sum += to_float(d_o[at + c]) * to_float(o[at + c]);
    sum = warp_sum(sum);
    if (int(threadIdx.x) % warp_size == 0) delta[row] = sum;
}

// dq (=) of 16 queries of one head: dq = scale Σ ds k, with p = exp(scale q·k - lse), ds = p (do·v - delta).
// Grid: (blocks of 16 queries, batch · heads).
template <class T>
GPAS_KERNEL GPAS_MOST_THREADS(any_threads)
    attention_any_dq_kernel(T* dqkv, const T* d_o, const float* lse, const float* delta, const T* qkv, AttentionShape s,
                            const std::int32_t* segment_begin, float scale) {
    DYNAMIC_SHARED(shared);  // see the map at any_shared_bytes()
    SHARED_ARRAY(float, all_weights, any_threads);
    const int dim = int(s.head_dim);
    const AnyBlock block = any_block(shared, all_weights, dim);
    const std::int64_t first = block.first;
    const std::int64_t sample = blockIdx.y / s.heads;
    const HeadRows at = head_rows(s, sample, blockIdx.y % s.heads);
    load_rows(block.own_a, qkv + at.q, at.qkv_stride, first, any_rows, s.sequence, dim);
    load_rows(block.own_b, d_o + at.o, at.o_stride, first, any_rows, s.sequence, dim);
    float acc[any_rows_per_warp][any_columns] = {};
    for (std::int64_t begin = first_any_tile(s, first); begin < first + any_rows && begin < s.sequence;
         begin += any_tile) {
        __syncthreads();
        load_any_tiles(block, qkv + at.k, at.qkv_stride, qkv + at.v, at.qkv_stride, begin, s.sequence);
        __syncthreads();
        for_own_rows(block, s.sequence, [&](int r, std::int64_t t, int own) {
            const std::int64_t u = begin + block.lane;
            float ds = 0.0F;
            if (first_seen(segment_begin, s, sample, t) <= u && u <= t) {
                const float score = scale * dot(block.own_a + own, block.tile_a + block.lane * (dim + 1), dim);
                const float p = expf(score - lse[at.statistics + t]);
                ds =
                    p * (dot(block.own_b + own, block.tile_b + block.lane * (dim + 1), dim) - delta[at.statistics + t]);
            }
            add_weighted(acc[r], ds, block.weights, block.tile_a, dim);
        });
    }
    for_own_rows(block, s.sequence,
                 [&](int r, std::int64_t t, int) { store_row(dqkv + at.q + t * at.qkv_stride, acc[r], scale, dim); });
}

// dk and dv (=) of 16 positions of one KV head, summed over all query heads of its group: dv = Σ p do,
// dk = scale Σ ds q. Grid: (blocks of 16 positions, batch · kv_heads).
template <class T>
GPAS_KERNEL GPAS_MOST_THREADS(any_threads)
    attention_any_dkv_kernel(T* dqkv, const T* d_o, const float* lse, const float* delta, const T* qkv,
                             AttentionShape s, const std::int32_t* segment_begin, float scale) {
    DYNAMIC_SHARED(shared);  // see the map at any_shared_bytes()
    SHARED_ARRAY(float, all_weights, any_threads);
    const int dim = int(s.head_dim);
    const AnyBlock block = any_block(shared, all_weights, dim);
    const std::int64_t first = block.first;
    const std::int64_t of_group = s.heads / s.kv_heads;
    const std::int64_t sample = blockIdx.y / s.kv_heads;
    const std::int64_t group = blockIdx.y % s.kv_heads;
    const HeadRows own_at = head_rows(s, sample, group * of_group);
    load_rows(block.own_a, qkv + own_at.k, own_at.qkv_stride, first, any_rows, s.sequence, dim);
    load_rows(block.own_b, qkv + own_at.v, own_at.qkv_stride, first, any_rows, s.sequence, dim);
    float dk[any_rows_per_warp][any_columns] = {};
    float dv[any_rows_per_warp][any_columns] = {};
    for (std::int64_t head = group * of_group; head < (group + 1) * of_group; ++head) {
        const HeadRows at = head_rows(s, sample, head);
        // The end is not a variable, because the kernel then needs 32 registers more (sm_80).
        for (std::int64_t begin = first / any_tile * any_tile; begin < end_of_queries(s, first + any_rows);
             begin += any_tile) {
            __syncthreads();
            load_any_tiles(block, qkv + at.q, at.qkv_stride, d_o + at.o, at.o_stride, begin, s.sequence);
            __syncthreads();
            const std::int64_t t = begin + block.lane;
            const std::int64_t seen = t < s.sequence ? first_seen(segment_begin, s, sample, t) : s.sequence;
            for_own_rows(block, s.sequence, [&](int r, std::int64_t u, int own) {
                float p = 0.0F;
                float ds = 0.0F;
                if (u <= t && seen <= u) {
                    const float score = scale * dot(block.tile_a + block.lane * (dim + 1), block.own_a + own, dim);
                    p = expf(score - lse[at.statistics + t]);
                    ds = p * (dot(block.tile_b + block.lane * (dim + 1), block.own_b + own, dim) -
                              delta[at.statistics + t]);
                }
                add_weighted(dv[r], p, block.weights, block.tile_b, dim);
                add_weighted(dk[r], ds, block.weights, block.tile_a, dim);
            });
        }
    }
    for_own_rows(block, s.sequence, [&](int r, std::int64_t u, int) {
        store_row(dqkv + own_at.k + u * own_at.qkv_stride, dk[r], scale, dim);
        store_row(dqkv + own_at.v + u * own_at.qkv_stride, dv[r], 1.0F, dim);
    });
}

}  // namespace gpas::cuda
