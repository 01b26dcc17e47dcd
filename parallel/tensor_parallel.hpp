// The tensor-parallel group as the layers see it (Megatron-LM, arXiv 1909.08053; sequence parallelism arXiv
// 2205.05198). Between sub-layers a rank holds all T rows of an activation or, with sequence parallelism, its T/t of
// them; inside a sub-layer it holds all rows and its share of the heads or of the feed-forward columns.
#pragma once

#include "parallel/communicator.hpp"

namespace gpas {

class TensorParallel {
public:
    // Keeps the group. Sequence parallelism has no meaning, and no effect, in a group of one.
    TensorParallel(Communicator& group, bool sequence_parallel)
        : group_(&group), sequence_(sequence_parallel && group.size() > 1) {}

    int rank() const { return group_->rank(); }
    int size() const { return group_->size(); }
    bool sequence_parallel() const { return sequence_; }

    // Before a column-parallel product (forward), and before the products with the gradient of a row-parallel one
    // (backward): all rows of x. `whole` = the ranks' rows together; without sequence parallelism x itself.
    Tensor gather(Tensor x, Tensor whole, const char* what) const {
        if (!sequence_) return x;
        group_->all_gather(whole, x, what);
        return whole;
    }

    // What gather(x, whole) gave, while `whole` still holds it.
    Tensor gathered(Tensor x, Tensor whole) const { return sequence_ ? whole : x; }

    // Where a rank writes its partial sum of a row-parallel product whose sum is to be y.
    Tensor partial(Tensor y, Tensor whole) const { return sequence_ ? whole : y; }
    // After a row-parallel product (forward), and after the gradient of a column-parallel one's input (backward):
    // y = this rank's rows of the sum of all ranks' partial(y, whole).
    void reduce(Tensor y, Tensor whole, const char* what) const {
        if (sequence_)
            group_->reduce_scatter(y, whole, what);
        else
            group_->all_reduce(y, ReduceOp::sum, what);
    }

    // parts [P, …] = each rank's `mine`, in rank order; `mine` itself in a group of one.
    Tensor gather_parts(Tensor mine, Tensor parts, const char* what) const {
        if (size() == 1) return mine;
        group_->all_gather(parts, mine, what);
        return parts;
    }

private:
    Communicator* group_;
    bool sequence_;
};

}  // namespace gpas
