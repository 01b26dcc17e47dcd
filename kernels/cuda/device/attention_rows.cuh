// Where queries, keys and values of a head lie in packed qkv, and which of them see each other.
#pragma once

#include "kernels/cuda/device/device.cuh"
#include "kernels/ops.hpp"

namespace gpas::cuda {

// One sample and one head of attention, as rows that are `stride` elements apart: position p is at base + p · stride.
struct HeadRows {
    std::int64_t q, k, v;  // offsets of position 0 in qkv
    std::int64_t o;        // in o and its gradient
    std::int64_t qkv_stride, o_stride;
    std::int64_t statistics;  // of position 0 in lse and delta
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

// The first position that `position` sees.
GPAS_DEVICE int first_seen(const std::int32_t* segment_begin, const AttentionShape& s, std::int64_t sample,
                           std::int64_t position) {
    return segment_begin != nullptr ? segment_begin[position * s.batch + sample] : 0;
}

}  // namespace gpas::cuda
