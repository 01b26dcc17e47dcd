#include "parallel/weight_gather.hpp"

namespace gpas {

void WeightGather::start(Communicator& data, Tensor values, std::span<const GradientBucket> buckets) {
    wait();
    if (data.size() == 1) return;
    transfers_.resize(buckets.size());
    for (std::size_t i = buckets.size(); i-- > 0;) {
        if (!buckets[i].sharded) continue;
        const auto part_of = [&](Range range) { return values.slice(range.begin, range.end); };
        transfers_[i] = data.start_all_gather(part_of(buckets[i].elements), part_of(buckets[i].owned), "weights");
        ++under_way_;
    }
}

void WeightGather::end(std::size_t bucket) {
    transfers_[bucket].reset();
    --under_way_;
}

void WeightGather::wait(std::size_t bucket) {
    if (under_way_ == 0 || !transfers_[bucket]) return;
    transfers_[bucket]->wait();
    end(bucket);
}

// Waits in the order of the starts.
void WeightGather::wait() {
    for (std::size_t i = transfers_.size(); under_way_ > 0 && i-- > 0;) wait(i);
}

void WeightGather::poll() {
    for (std::size_t i = transfers_.size(); under_way_ > 0 && i-- > 0;)
        if (transfers_[i] && transfers_[i]->finished()) end(i);
}

}  // namespace gpas
