// Embedding and SwiGLU. Bound by memory bandwidth.
#include "kernels/backend.hpp"

#include "kernels/cuda/launch_flat.hpp"

namespace gpas::cuda {
namespace {

// ---- embedding ------------------------------------------------------------------------------------------------------

// One block per token.
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    embedding_kernel(T* h, const T* w, const std::int32_t* ids, std::int64_t first_row, std::int64_t table_rows,
                     std::int64_t columns) {
    const std::int64_t row = std::int64_t(ids[blockIdx.x]) - first_row;
    const bool here = 0 <= row && row < table_rows;
    for (std::int64_t c = std::int64_t(threadIdx.x) * V; c < columns; c += std::int64_t(blockDim.x) * V) {
        Pack<T, V> pack = {};
        if (here) pack = load_pack<V>(w + row * columns + c);
        store_pack(h + std::int64_t(blockIdx.x) * columns + c, pack);
    }
}

// Ids that a block compares per turn. A turn's results are bit masks in shared memory, one bit per id.
constexpr int ids_per_turn = 4 * flat_threads;
constexpr int id_masks = ids_per_turn / warp_size;

// dw (+=). One block per (token, tile of columns). The block of the first token with an id adds the rows of all tokens
// with that id, in row order: no atomics, so results are reproducible bitwise. All other blocks return after they find
// an equal id before their own token.
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    embedding_backward_kernel(float* dw, const T* dh, const std::int32_t* ids, std::int64_t first_row,
                              std::int64_t table_rows, std::int64_t tokens, std::int64_t columns) {
    SHARED_ARRAY(int, found_parts, warp_size);
    SHARED_ARRAY(unsigned, equal, id_masks);
    const std::int64_t first = blockIdx.x;
    const int id = ids[first];
    const std::int64_t row = std::int64_t(id) - first_row;
    if (row < 0 || row >= table_rows) return;
    int found = 0;
    for (std::int64_t t = threadIdx.x; t < first; t += blockDim.x) found += ids[t] == id;
    if (block_sum(found, found_parts) > 0) return;

    const std::int64_t column = (std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x) * V;
    float* const to = dw + row * columns + column;
    float sum[V] = {};
    for (int v = 0; v < V && column < columns; ++v) sum[v] = to[v];
    for (std::int64_t begin = first; begin < tokens; begin += ids_per_turn) {
        __syncthreads();  // all threads have read the masks of the previous turn
        for (int at = int(threadIdx.x); at < ids_per_turn; at += flat_threads) {
            const unsigned mask = __ballot_sync(all_lanes, begin + at < tokens && ids[begin + at] == id);
            if (at % warp_size == 0) equal[at / warp_size] = mask;
        }
        __syncthreads();
        if (column >= columns) continue;
        for (int m = 0; m < id_masks; ++m)
            for (unsigned left = equal[m]; left != 0; left &= left - 1) {
                const auto pack = load_pack<V>(dh + (begin + m * warp_size + lowest_bit(left)) * columns + column);
                unrolled<V>([&](int v) { sum[v] += to_float(pack.v[v]); });
            }
    }
    if (column >= columns) return;
    for (int v = 0; v < V; ++v) to[v] = sum[v];
}

// ---- SwiGLU ---------------------------------------------------------------------------------------------------------

GPAS_DEVICE float fast_sigmoid(float x) {
    constexpr float log2_e = 1.44269504088896341F;
    return 1.0F / (1.0F + exp2_fast(-x * log2_e));
}

// Offsets of a thread's first element. A thread has V columns of a row; a row of gate_up is [gate | up].
struct Element {
    std::int64_t at_act;   // in act and dact
    std::int64_t at_gate;  // of its gate in gate_up; its up is `columns` further
};
GPAS_DEVICE Element element_of(std::int64_t i, std::int64_t columns) {
    const std::int64_t row = i / columns;
    return {i, row * 2 * columns + (i - row * columns)};
}

// act = silu(gate) ⊙ up
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    swiglu_kernel(T* act, const T* gate_up, std::int64_t elements, std::int64_t columns) {
    const std::int64_t i = flat_index(V);
    if (i >= elements) return;
    const Element at = element_of(i, columns);
    const auto gate = load_pack<V>(gate_up + at.at_gate);
    const auto up = load_pack<V>(gate_up + at.at_gate + columns);
    Pack<T, V> out;
    unrolled<V>([&](int v) {
        const float g = to_float(gate.v[v]);
        out.v[v] = from_float<T>(g * fast_sigmoid(g) * to_float(up.v[v]));
    });
    store_pack(act + at.at_act, out);
}

// dgate = dact · up · silu'(gate), dup = dact · silu(gate); dgate_up may be gate_up
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    swiglu_backward_kernel(T* dgate_up, const T* dact, const T* gate_up, std::int64_t elements, std::int64_t columns) {
    const std::int64_t i = flat_index(V);
    if (i >= elements) return;
    const Element at = element_of(i, columns);
    auto gate = load_pack<V>(gate_up + at.at_gate);
    auto up = load_pack<V>(gate_up + at.at_gate + columns);
    const auto d = load_pack<V>(dact + at.at_act);
    unrolled<V>([&](int v) {
        const float g = to_float(gate.v[v]);
        const float u = to_float(up.v[v]);
        const float da = to_float(d.v[v]);
        const float s = fast_sigmoid(g);
        gate.v[v] = from_float<T>(da * u * s * (1.0F + g * (1.0F - s)));
        up.v[v] = from_float<T>(da * g * s);
    });
    store_pack(dgate_up + at.at_gate, gate);
    store_pack(dgate_up + at.at_gate + columns, up);
}

}  // namespace

void embedding(Context& context, Tensor h, Tensor w, Tensor ids, std::int64_t first_row) {
    if (h.rows() == 0) return;
    visit_width(h.dtype, aligned_16({h.data, w.data}) && whole_packs(h), [&](auto zero, auto v) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = unsigned(h.rows()), .threads = flat_threads}, embedding_kernel<T, v()>,
               h.as<T>(), w.as<T>(), ids.as<std::int32_t>(), first_row, w.rows(), h.columns());
    });
}

void embedding_backward(Context& context, Tensor dw, Tensor dh, Tensor ids, std::int64_t first_row) {
    if (dh.rows() == 0) return;
    const std::int64_t columns = dh.columns();
    visit_width(dh.dtype, aligned_16({dh.data}) && whole_packs(dh), [&](auto zero, auto v) {
        using T = decltype(zero);
        const dim3 grid(unsigned(dh.rows()), blocks_of(columns, v));
        launch(context.gpu(), {.grid = grid, .threads = flat_threads}, embedding_backward_kernel<T, v()>,
               dw.as<float>(), dh.as<T>(), ids.as<std::int32_t>(), first_row, dw.rows(), dh.rows(), columns);
    });
}

void swiglu(Context& context, Tensor act, Tensor gate_up) {
    if (act.elements() == 0) return;
    visit_width(act.dtype, aligned_16({act.data, gate_up.data}) && whole_packs(act), [&](auto zero, auto v) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = blocks_of(act.elements(), v), .threads = flat_threads}, swiglu_kernel<T, v()>,
               act.as<T>(), gate_up.as<T>(), act.elements(), act.columns());
    });
}

void swiglu_backward(Context& context, Tensor dgate_up, Tensor dact, Tensor gate_up) {
    if (dact.elements() == 0) return;
    const bool vectors = aligned_16({dgate_up.data, dact.data, gate_up.data}) && whole_packs(dact);
    visit_width(dact.dtype, vectors, [&](auto zero, auto v) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = blocks_of(dact.elements(), v), .threads = flat_threads},
               swiglu_backward_kernel<T, v()>, dgate_up.as<T>(), dact.as<T>(), gate_up.as<T>(), dact.elements(),
               dact.columns());
    });
}

}  // namespace gpas::cuda
