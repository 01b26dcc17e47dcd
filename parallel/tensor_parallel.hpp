// Tensor parallelism as the layers use it (Megatron-LM, arXiv 1909.08053; sequence parallelism, arXiv 2205.05198).
// T: tokens (rows of an activation). t: ranks of the group. R = ⌈T/t⌉.
// Between sub-layers (attention, feed-forward) a rank holds all T rows of an activation; with sequence parallelism it
// holds R of them. Inside a sub-layer it holds all T rows, and its share of the heads or feed-forward columns.
// Collectives need the same number of rows from every rank: if t does not divide T, the last R·t - T rows are padding.
//
// With overlap, the communication and the matrix products are divided into t blocks of R rows. Block k holds the rows
// of rank k. In round s = 1 … t-1 each rank sends one block to rank + s and receives one block from rank - s (mod t).
// While a block is in flight, the product with another block is computed.
#pragma once

#include "base/range.hpp"
#include "kernels/context.hpp"
#include "parallel/communicator.hpp"

#include <vector>

namespace gpas {

class TensorParallel {
public:
    // `group` must outlive this object. tokens: T. in_blocks: overlap. sequence_parallel has no effect in a group of
    // one; in_blocks has no effect without sequence parallelism.
    TensorParallel(Communicator& group, bool sequence_parallel, std::int64_t tokens, bool in_blocks = false)
        : group_(&group),
          sequence_(sequence_parallel && group.size() > 1),
          overlap_(sequence_ && in_blocks),
          tokens_(tokens) {}

    int rank() const { return group_->rank(); }
    int size() const { return group_->size(); }
    bool sequence_parallel() const { return sequence_; }
    // Without sequence parallelism, the functions below also take fewer rows than T.

    // Returns all T rows of x. With sequence parallelism x is [R,…]: whole [R·t,…] = the rows of all ranks, and the
    // first T rows of `whole` are returned. Without it x is [T,…] and is returned; `whole` is not used.
    Tensor gather(Tensor x, Tensor whole, const char* what) const {
        if (!sequence_) return x;
        group_->all_gather(whole, x, what);
        return whole.slice(0, tokens_);
    }
    // As gather(), and also runs work(), which must touch neither x nor `whole`. With overlap, work() runs while the
    // all-gather is in flight.
    template <class Work>
    Tensor gather_overlapped(Tensor x, Tensor whole, const char* what, Work&& work) const {
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
    // The tensor that gather(x, whole) returned, without communication. `whole` must be unchanged since then.
    Tensor gathered(Tensor x, Tensor whole) const { return sequence_ ? whole.slice(0, tokens_) : x; }

    // Used before a column-parallel product (forward), and before products with the output gradient of a row-parallel
    // product (backward). Gathers x as gather() does and calls product(rows, range), where `rows` are the rows `range`
    // of the gathered tensor. Without overlap: one call for all T rows. With overlap: one call per block, this rank's
    // own block first, then each block when it has arrived.
    template <class Product>
    void gather_into(Context& context, Tensor x, Tensor whole, const char* what, Product&& product) const {
        if (!overlap_) {
            const Tensor rows = gather(x, whole, what);
            return product(rows, Range{0, rows.dim(0)});
        }
        const Transfers rounds = start_gathering(x, whole, what);
        put_own(context, whole, x);
        for (int round = 0; round < size(); ++round) {
            const int block = before(round);
            if (round > 0) rounds[std::size_t(round) - 1]->wait();
            const Range range = rows_of(block, whole);
            if (!range.empty()) product(whole.slice(range.begin, range.end), range);
        }
    }

    // The tensor [T,…] into which a rank writes its term of a row-parallel product, before reduce(y, whole).
    Tensor partial(Tensor y, Tensor whole) const { return sequence_ ? whole.slice(0, tokens_) : y; }
    // Used after a row-parallel product (forward), and after the input gradient of a column-parallel product
    // (backward). With sequence parallelism (reduce-scatter): y [R,…] = this rank's rows of the sum over ranks of
    // `whole` [R·t,…]. Without it (all-reduce): y [T,…] = the sum over ranks of y. partial(y, whole) holds this rank's
    // term in both cases.
    void reduce(Tensor y, Tensor whole, const char* what) const {
        if (sequence_)
            group_->reduce_scatter(y, whole, what);
        else
            group_->all_reduce(y, ReduceOp::sum, what);
    }
    // x = the sum over ranks of x, with or without sequence parallelism.
    void sum(Tensor x, const char* what) const { group_->all_reduce(x, ReduceOp::sum, what); }
    // Memory for reduce_from(): see there.
    struct SumBuffers {
        Tensor whole;  // [R·t,…] with sequence parallelism, as for reduce()
        Tensor terms;  // [≥ R·(t-1),…] with overlap
    };
    // As reduce(y, whole), but product(rows, range) computes this rank's term: it writes the rows `range` of
    // partial(y, whole). Without overlap: one call for all T rows. With overlap: one call per block, this rank's own block
    // last, while the blocks computed before are in flight. `terms` receives the other ranks' terms. They are added one by
    // one, and each partial sum is rounded to y's dtype: y = own + term of rank-1 + term of rank-2 + … (mod t).
    // look(partial(y, whole)) is called once, after all products and before the sum.
    template <class Product, class Look>
    void reduce_from(Context& context, Tensor y, SumBuffers buffers, const char* what, Product&& product,
                     Look&& look) const {
        const auto [whole, terms] = buffers;
        if (!overlap_) {
            const Tensor rows = partial(y, whole);
            product(rows, Range{0, rows.dim(0)});
            look(rows);
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
    void reduce_from(Context& context, Tensor y, SumBuffers buffers, const char* what, Product&& product) const {
        reduce_from(context, y, buffers, what, product, [](Tensor) {});
    }

    // Returns parts [t,…] = the tensors `mine` of all ranks, in rank order. In a group of one returns `mine`.
    Tensor gather_parts(Tensor mine, Tensor parts, const char* what) const {
        if (size() == 1) return mine;
        group_->all_gather(parts, mine, what);
        return parts;
    }

private:
    using Transfers = std::vector<std::unique_ptr<Transfer>>;  // one per round

    int after(int round) const { return (rank() + round) % size(); }
    int before(int round) const { return (rank() - round + size()) % size(); }
    std::int64_t block_rows(const Tensor& whole) const { return whole.dim(0) / size(); }
    Tensor block(const Tensor& whole, std::int64_t k) const {
        return whole.slice(k * block_rows(whole), (k + 1) * block_rows(whole));
    }
    // The rows of block k, without padding.
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
