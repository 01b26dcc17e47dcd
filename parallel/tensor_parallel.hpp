// The tensor-parallel group as the layers see it (Megatron-LM, arXiv 1909.08053; sequence parallelism arXiv
// 2205.05198). Between sub-layers a rank holds all T rows of an activation or, with sequence parallelism, R = ⌈T/t⌉ of
// them; inside a sub-layer it holds all T rows and its share of the heads or of the feed-forward columns. Every rank has
// as many rows, as collectives want it: if t does not divide T, the last of the R·t rows are padding.
#pragma once

#include "parallel/communicator.hpp"

namespace gpas {

class TensorParallel {
public:
    // Keeps the group. tokens: T. Sequence parallelism has no meaning, and no effect, in a group of one.
    TensorParallel(Communicator& group, bool sequence_parallel, std::int64_t tokens)
        : group_(&group), sequence_(sequence_parallel && group.size() > 1), tokens_(tokens) {}

    int rank() const { return group_->rank(); }
    int size() const { return group_->size(); }
    bool sequence_parallel() const { return sequence_; }

    // Before a column-parallel product (forward), and before the products with the gradient of a row-parallel one
    // (backward): all T rows of x [R,…]. `whole` [R·t,…] = the ranks' rows together; without sequence parallelism x
    // itself.
    Tensor gather(Tensor x, Tensor whole, const char* what) const {
        if (!sequence_) return x;
        group_->all_gather(whole, x, what);
        return whole.slice(0, tokens_);
    }

    // What gather(x, whole) gave, while `whole` still holds it.
    Tensor gathered(Tensor x, Tensor whole) const { return sequence_ ? whole.slice(0, tokens_) : x; }

    // Where a rank writes its partial sum [T,…] of a row-parallel product whose sum is to be y.
    Tensor partial(Tensor y, Tensor whole) const { return sequence_ ? whole.slice(0, tokens_) : y; }
    // After a row-parallel product (forward), and after the gradient of a column-parallel one's input (backward):
    // y [R,…] = this rank's rows of the sum of all ranks' `whole` [R·t,…], where partial(y, whole) was written; without
    // sequence parallelism y = the sum of all ranks' y.
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
    std::int64_t tokens_;
};

}  // namespace gpas
