// Offsets of a head's queries, keys and values in packed qkv, and the causal and document mask.
#pragma once

#include "kernels/cuda/device/device.cuh"
#include "kernels/ops.hpp"

namespace gpas::cuda {

// The rows of one head of one sample. All offsets and strides count elements. Position p of q is at q + p · qkv_stride
// in qkv (k and v likewise), that of o and d_o is at o + p · o_stride, and its lse and delta are at statistics + p.
struct HeadRows {
    std::int64_t q, k, v;  // in qkv; k and v are those of the head's group
    std::int64_t o;        // in o and d_o
    std::int64_t qkv_stride, o_stride;
    std::int64_t statistics;  // in lse and delta
};

GPAS_DEVICE HeadRows head_rows(const AttentionShape& s, std::int64_t sample, std::int64_t head) {
    const std::int64_t of_group = s.heads / s.kv_heads;
    const std::int64_t group = head / of_group;
    const std::int64_t columns = s.qkv_columns();
    const std::int64_t first = sample * columns + group * (of_group + 2) * s.head_dim;
    return {.q = first + (head - group * of_group) * s.head_dim,
            .k = first + of_group * s.head_dim,
            .v = first + (of_group + 1) * s.head_dim,
            .o = (sample * s.heads + head) * s.head_dim,
            .qkv_stride = s.batch * columns,
            .o_stride = s.batch * s.heads * s.head_dim,
            .statistics = (sample * s.heads + head) * s.sequence};
}

// The first position that `position` attends to: the beginning of its document.
GPAS_DEVICE int first_seen(const std::int32_t* segment_begin, const AttentionShape& s, std::int64_t sample,
                           std::int64_t position) {
    return segment_begin != nullptr ? segment_begin[position * s.batch + sample] : 0;
}

}  // namespace gpas::cuda
