#include "parallel/gradient_buckets.hpp"

namespace gpas {
namespace {

Tensor range_of(const Tensor& flat, Range range) { return flat.slice(range.begin, range.end); }

}  // namespace

GradientReducer::GradientReducer(Communicator& data, Tensor gradients, std::span<const GradientBucket> buckets)
    : data_(data), gradients_(gradients), buckets_(buckets), started_(buckets.size(), false) {}

void GradientReducer::start(std::size_t bucket) {
    if (started_[bucket]) return;
    started_[bucket] = true;
    if (data_.size() == 1) return;
    const GradientBucket& b = buckets_[bucket];
    const Tensor whole = range_of(gradients_, b.elements);
    under_way_.push_back(b.sharded ? data_.start_reduce_scatter(range_of(gradients_, b.owned), whole, "gradients")
                                   : data_.start_all_reduce(whole, ReduceOp::sum, "gradients"));
}

void GradientReducer::poll() {
    for (const auto& transfer : under_way_) transfer->finished();
}

void GradientReducer::finish() {
    for (std::size_t i = 0; i < buckets_.size(); ++i) start(i);
    for (const auto& transfer : under_way_) transfer->wait();
    under_way_.clear();
    started_.assign(buckets_.size(), false);
}

void gather_owned(Communicator& data, Tensor values, std::span<const GradientBucket> buckets) {
    if (data.size() == 1) return;
    for (const GradientBucket& bucket : buckets)
        if (bucket.sharded)
            data.all_gather(range_of(values, bucket.elements), range_of(values, bucket.owned), "weights");
}

}  // namespace gpas
