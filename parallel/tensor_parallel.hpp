// The tensor-parallel group as the layers see it (Megatron-LM, arXiv 1909.08053; sequence parallelism arXiv
// 2205.05198). Between sub-layers a rank holds all T rows of an activation or, with sequence parallelism, R = ⌈T/t⌉ of
// them; inside a sub-layer it holds all T rows and its share of the heads or of the feed-forward columns. Every rank has
// as many rows, as collectives want it: if t does not divide T, the last of the R·t rows are padding.
//
// With overlap, messages and the products beside them are cut into the t blocks of R rows: block k is that of rank k. In
// round s = 1 … t - 1 each rank sends a block to rank + s and receives one from rank - s, so that every link carries one
// block each way, as in a ring.
#pragma once

#include "base/range.hpp"
#include "kernels/context.hpp"
#include "parallel/communicator.hpp"

#include <vector>

namespace gpas {

class TensorParallel {
public:
    // Keeps the group. tokens: T. Sequence parallelism has no meaning, and no effect, in a group of one; in_blocks
    // (overlap) has none without sequence parallelism.
    TensorParallel(Communicator& group, bool sequence_parallel, std::int64_t tokens, bool in_blocks = false)
        : group_(&group),
          sequence_(sequence_parallel && group.size() > 1),
          overlap_(sequence_ && in_blocks),
          tokens_(tokens) {}

    int rank() const { return group_->rank(); }
    int size() const { return group_->size(); }
    bool sequence_parallel() const { return sequence_; }

    // All T rows of x [R,…]. `whole` [R·t,…] = the ranks' rows together; without sequence parallelism x itself.
    Tensor gather(Tensor x, Tensor whole, const char* what) const {
        if (!sequence_) return x;
        group_->all_gather(whole, x, what);
        return whole.slice(0, tokens_);
    }
    // The same, beside work() with overlap, which touches neither x nor `whole`.
    template <class Work>
    Tensor gather_beside(Tensor x, Tensor whole, const char* what, Work&& work) const {
        if (!overlap_) {
            const Tensor rows = gather(x, whole, what);
            work();
            return rows;
        }
        const std::unique_ptr<Transfer> gathering = group_->start_all_gather(whole, x, what);
        work();
        gathering->wait();
        return whole.slice(0, tokens_);
    }
    // What gather(x, whole) gave, while `whole` still holds it.
    Tensor gathered(Tensor x, Tensor whole) const { return sequence_ ? whole.slice(0, tokens_) : x; }

    // Before a column-parallel product (forward), and before the products with the gradient of a row-parallel one
    // (backward): gathers x as gather() does, and calls product(rows, range) for all T rows: once, or with overlap block
    // by block as the blocks arrive, this rank's first. rows: those of `range` of the gathered tensor.
    template <class Product>
    void gather_into(Context& context, Tensor x, Tensor whole, const char* what, Product&& product) const {
        if (!overlap_) return product(gather(x, whole, what), Range{0, tokens_});
        const Transfers rounds = start_gathering(x, whole, what);
        put_own(context, whole, x);
        for (int round = 0; round < size(); ++round) {
            const int block = before(round);
            if (round > 0) rounds[std::size_t(round) - 1]->wait();
            const Range range = rows_of(block, whole);
            if (!range.empty()) product(whole.slice(range.begin, range.end), range);
        }
    }

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
    // The same for what product(rows, range) writes to those rows of partial(y, whole): once, or with overlap block by
    // block, this rank's last, while blocks computed before travel. `terms` [at least R·(t-1),…] then holds the other
    // ranks' terms. A term is added to the sum, rounded to y's dtype, at a time: own + that of rank - 1 + rank - 2 …
    // look(partial(y, whole)) is called once, between products and sum.
    template <class Product, class Look>
    void reduce_from(Context& context, Tensor y, Tensor whole, Tensor terms, const char* what, Product&& product,
                     Look&& look) const {
        if (!overlap_) {
            product(partial(y, whole), Range{0, tokens_});
            look(partial(y, whole));
            return reduce(y, whole, what);
        }
        Transfers rounds;
        for (int round = 1; round <= size(); ++round) {
            const int block = after(round);
            const Range range = rows_of(block, whole);
            if (!range.empty()) product(whole.slice(range.begin, range.end), range);
            if (round < size()) rounds.push_back(start_term(whole, terms, round, what));
        }
        look(partial(y, whole));
        add_terms(context, y, whole, terms, rounds);
    }
    template <class Product>
    void reduce_from(Context& context, Tensor y, Tensor whole, Tensor terms, const char* what,
                     Product&& product) const {
        reduce_from(context, y, whole, terms, what, product, [](Tensor) {});
    }

    // parts [P, …] = each rank's `mine`, in rank order; `mine` itself in a group of one.
    Tensor gather_parts(Tensor mine, Tensor parts, const char* what) const {
        if (size() == 1) return mine;
        group_->all_gather(parts, mine, what);
        return parts;
    }

private:
    using Transfers = std::vector<std::unique_ptr<Transfer>>;  // of each round

    int after(int round) const { return (rank() + round) % size(); }
    int before(int round) const { return (rank() - round + size()) % size(); }
    std::int64_t block_rows(const Tensor& whole) const { return whole.dim(0) / size(); }
    Tensor block(const Tensor& whole, std::int64_t k) const {
        return whole.slice(k * block_rows(whole), (k + 1) * block_rows(whole));
    }
    // Of block k, without padding.
    Range rows_of(int k, const Tensor& whole) const {
        return overlap({0, tokens_}, {k * block_rows(whole), (k + 1) * block_rows(whole)});
    }

    Transfers start_gathering(Tensor x, Tensor whole, const char* what) const;
    void put_own(Context& context, Tensor whole, Tensor x) const;
    std::unique_ptr<Transfer> start_term(Tensor whole, Tensor terms, int round, const char* what) const;
    void add_terms(Context& context, Tensor y, Tensor whole, Tensor terms, const Transfers& rounds) const;

    Communicator* group_;
    bool sequence_;
    bool overlap_;
    std::int64_t tokens_;
};

}  // namespace gpas
