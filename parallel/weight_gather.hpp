// New weights on their way from the ranks that own them (ZeRO stage 1), bucket by bucket, beside the program.
#pragma once

#include "parallel/gradient_buckets.hpp"

#include <memory>
#include <span>
#include <vector>

namespace gpas {

class WeightGather {
public:
    // Starts values = the owned shares of every sharded bucket, in place, any dtype. The last bucket first: backward
    // fills them from the model's end, so that is the order of the next forward pass. The same order on every rank.
    // Waits first for what is under way. `data` must live until all of it has been waited for.
    void start(Communicator& data, Tensor values, std::span<const GradientBucket> buckets);
    bool under_way() const { return under_way_ > 0; }
    // Until this bucket, or all, are there (on a GPU: for what is enqueued from now on).
    void wait(std::size_t bucket);
    void wait();
    void poll();  // drives what is under way; does not wait

private:
    void end(std::size_t bucket);

    std::vector<std::unique_ptr<Transfer>> transfers_;  // of each bucket; empty: it is there
    std::size_t under_way_ = 0;
};

}  // namespace gpas
