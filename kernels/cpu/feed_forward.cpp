#include "kernels/backend.hpp"

#include "kernels/cpu/blocks.hpp"
#include "kernels/cpu/vector_math.hpp"
#include "kernels/cpu/visit.hpp"

namespace gpas::cpu {

void embedding(Context& context, Tensor h, Tensor w, Tensor ids, std::int64_t first_row) {
    const std::int64_t row_bytes = w.columns() * bytes_per_element(w.dtype);
    const std::int32_t* id = ids.as<std::int32_t>();
    const RowBlocks blocks(h.rows());
    parallel_for(context, blocks.count, [&](std::int64_t block) {
        for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t) {
            const std::int64_t row = id[t] - first_row;
            char* to = static_cast<char*>(h.data) + t * row_bytes;
            if (0 <= row && row < w.rows())
                std::memcpy(to, static_cast<const char*>(w.data) + row * row_bytes, std::size_t(row_bytes));
            else
                std::memset(to, 0, std::size_t(row_bytes));
        }
    });
}

// Threads share columns, not rows: a block of columns adds all rows in order, so two threads never add to one element.
void embedding_backward(Context& context, Tensor dw, Tensor dh, Tensor ids, std::int64_t first_row) {
    const std::int64_t columns = dw.columns();
    const std::int32_t* id = ids.as<std::int32_t>();
    visit_float(dh.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_blocks(context, columns, 128, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t t = 0; t < dh.rows(); ++t) {
                const std::int64_t row = id[t] - first_row;
                if (row < 0 || row >= dw.rows()) continue;
                float* to = dw.as<float>() + row * columns + begin;
                const T* from = dh.as<T>() + t * columns + begin;
                for_lanes(end - begin, [&](std::int64_t i, std::int64_t n) {
                    store_n(to + i, load_n(to + i, n) + load_n(from + i, n), n);
                });
            }
        });
    });
}

void swiglu(Context& context, Tensor act, Tensor gate_up) {
    const std::int64_t width = act.columns();
    visit_float(act.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const RowBlocks blocks(act.rows());
        parallel_for(context, blocks.count, [&](std::int64_t block) {
            for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t) {
                const T* gate = gate_up.as<T>() + t * 2 * width;
                const T* up = gate + width;
                T* out = act.as<T>() + t * width;
                for_lanes(width, [&](std::int64_t i, std::int64_t n) {
                    const Vec g = load_n(gate + i, n);
                    store_n(out + i, g * sigmoid(g) * load_n(up + i, n), n);
                });
            }
        });
    });
}

void swiglu_backward(Context& context, Tensor dgate_up, Tensor dact, Tensor gate_up) {
    const std::int64_t width = dact.columns();
    visit_float(dact.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const RowBlocks blocks(dact.rows());
        parallel_for(context, blocks.count, [&](std::int64_t block) {
            for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t) {
                const T* gate = gate_up.as<T>() + t * 2 * width;
                T* dgate = dgate_up.as<T>() + t * 2 * width;
                const T* d = dact.as<T>() + t * width;
                for_lanes(width, [&](std::int64_t i, std::int64_t n) {
                    const Vec g = load_n(gate + i, n);
                    const Vec u = load_n(gate + width + i, n);
                    const Vec da = load_n(d + i, n);
                    const Vec s = sigmoid(g);
                    store_n(dgate + i, da * u * (s * (1.0F + g * (1.0F - s))), n);
                    store_n(dgate + width + i, da * (g * s), n);
                });
            }
        });
    });
}

}  // namespace gpas::cpu
