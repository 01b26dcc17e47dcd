// Offsets of a head's queries, keys and values in packed qkv, and the first key that a query attends to.
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

// The first position that `position` attends to: the beginning of its document, or of its window if that is later.
GPAS_DEVICE int first_seen(const std::int32_t* segment_begin, const AttentionShape& s, std::int64_t sample,
                           std::int64_t position) {
    const int document = segment_begin != nullptr ? segment_begin[position * s.batch + sample] : 0;
    const int window = s.window > 0 ? int(position + 1 - s.window) : 0;
    return window > document ? window : document;
}
// The end (exclusive) of the queries that attend to any of the keys at positions before `end_of_keys`.
GPAS_DEVICE std::int64_t end_of_queries(const AttentionShape& s, std::int64_t end_of_keys) {
    const std::int64_t end = end_of_keys + s.window - 1;
    return s.window > 0 && end < s.sequence ? end : s.sequence;
}
// Of two tiles without a diagonal between them, a mask is needed if the first key is before
// hidden_before(end of the queries), or, equally, if the end of the queries is after seen_until(first key).
GPAS_DEVICE int hidden_before(const std::int32_t* segment_begin, const AttentionShape& s, int end_of_queries) {
    if (segment_begin != nullptr) return 0x7fffffff;
    return s.window > 0 ? end_of_queries - int(s.window) : 0;
}
GPAS_DEVICE int seen_until(const std::int32_t* segment_begin, const AttentionShape& s, int first_key) {
    if (segment_begin != nullptr) return 0;
    return s.window > 0 && first_key + s.window < s.sequence ? first_key + int(s.window) : int(s.sequence);
}

}  // namespace gpas::cuda
