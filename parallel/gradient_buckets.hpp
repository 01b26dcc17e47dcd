// The flat gradient buffer in buckets: each is summed over the data-parallel ranks as soon as backward has filled it,
// while backward goes on. With the sharded optimizer (ZeRO stage 1, arXiv 1910.02054) a rank gets, and keeps optimizer
// state for, its share of each bucket only.
#pragma once

#include "base/range.hpp"
#include "parallel/communicator.hpp"

#include <memory>
#include <span>
#include <vector>

namespace gpas {

struct GradientBucket {
    Range elements;                 // of the flat buffer
    Range owned;                    // of the flat buffer: what this rank updates; all of it unless sharded
    std::int64_t owned_offset = 0;  // of `owned` in buffers that hold nothing but owned elements
    bool sharded = false;
};

class GradientReducer {
public:
    // gradients: the flat buffer, fp32 [n]. Keeps references.
    GradientReducer(Communicator& data, Tensor gradients, std::span<const GradientBucket> buckets);

    // Starts the sum of one bucket over the ranks, in place; not more than once between two finish(). Every rank starts
    // them in the same order.
    void start(std::size_t bucket);
    // Drives what is under way; does not wait.
    void poll();
    // Starts what was not started, and waits: the owned range of every bucket then holds the sums (of a sharded bucket
    // the rest of the range is undefined).
    void finish();

private:
    Communicator& data_;
    Tensor gradients_;
    std::span<const GradientBucket> buckets_;
    std::vector<bool> started_;
    std::vector<std::unique_ptr<Transfer>> under_way_;
};

// values = the owned shares of every sharded bucket, from the ranks that own them. In place, any dtype.
void gather_owned(Communicator& data, Tensor values, std::span<const GradientBucket> buckets);

}  // namespace gpas
