// Gradient buckets, as in PyTorch DDP and Megatron's distributed optimizer. The flat gradient buffer is divided into
// buckets. When backward has filled a bucket, its sum over the data-parallel ranks starts and overlaps the rest of
// backward. With the sharded optimizer (ZeRO stage 1, arXiv 1910.02054) the sum is a reduce-scatter: a rank receives
// only its share of each bucket, and holds optimizer state only for that share.
#pragma once

#include "base/range.hpp"
#include "parallel/communicator.hpp"

#include <memory>
#include <span>
#include <vector>

namespace gpas {

struct GradientBucket {
    Range elements;                 // the bucket, in elements of the flat buffer
    Range owned;                    // the part that this rank updates; equal to `elements` unless sharded
    std::int64_t owned_offset = 0;  // start of `owned` in buffers that hold only owned elements (optimizer state)
    bool sharded = false;           // reduce-scatter and all-gather, instead of all-reduce
};

class GradientReducer {
public:
    // gradients: the flat buffer, fp32 [n]. `data`, the buffer and `buckets` must outlive this object.
    GradientReducer(Communicator& data, Tensor gradients, std::span<const GradientBucket> buckets);

    // Starts the sum of one bucket over the ranks, in place. A second call for a bucket before finish() does nothing.
    // Every rank must start the buckets in the same order.
    void start(std::size_t bucket);
    // Lets the started sums make progress (MPI needs calls for that). Does not wait.
    void poll();
    // Starts the remaining sums and waits for all. Afterwards the owned range of every bucket holds the sums; the other
    // elements of a sharded bucket are undefined.
    void finish();

private:
    Communicator& data_;
    Tensor gradients_;
    std::span<const GradientBucket> buckets_;
    std::vector<bool> started_;
    std::vector<std::unique_ptr<Transfer>> under_way_;
};

// All-gather of every sharded bucket: each rank's owned range of `values` (flat, any dtype) is copied to all ranks, in
// place. Collective over data; blocking.
void gather_owned(Communicator& data, Tensor values, std::span<const GradientBucket> buckets);

}  // namespace gpas
