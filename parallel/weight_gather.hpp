// The all-gather of updated weights (ZeRO stage 1), one operation per bucket, overlapped with the next step's forward.
#pragma once

#include "parallel/gradient_buckets.hpp"

#include <memory>
#include <span>
#include <vector>

namespace gpas {

class WeightGather {
public:
    // Starts the all-gather of every sharded bucket of `values` (flat, any dtype), in place. The last bucket comes
    // first: backward fills buckets from the model's end, so forward needs the last bucket first. Waits first for
    // operations of an earlier start(). `data` must live until all operations have been waited for. Collective over
    // data.
    void start(Communicator& data, Tensor values, std::span<const GradientBucket> buckets);
    bool under_way() const { return under_way_ > 0; }
    // Waits for this bucket's weights, or for all. On a GPU the host does not block: work that is enqueued on the
    // compute stream from now on runs after they have arrived.
    void wait(std::size_t bucket);
    void wait();
    void poll();  // lets the operations make progress (MPI needs calls for that); does not wait

private:
    void end(std::size_t bucket);

    std::vector<std::unique_ptr<Transfer>> transfers_;  // one per bucket; null: not sharded, or has arrived
    std::size_t under_way_ = 0;
};

}  // namespace gpas
