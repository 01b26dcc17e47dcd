#include "parallel/tensor_parallel.hpp"

#include "kernels/ops.hpp"

namespace gpas {

TensorParallel::Transfers TensorParallel::start_gathering(Tensor x, Tensor whole, const char* what) const {
    Transfers rounds;
    for (int round = 1; round < size(); ++round)
        rounds.push_back(group_->start_exchange(x, after(round), block(whole, before(round)), before(round), what));
    return rounds;
}

void TensorParallel::put_own(Context& context, Tensor whole, Tensor x) const { copy(context, block(whole, rank()), x); }

std::unique_ptr<Transfer> TensorParallel::start_term(Tensor whole, Tensor terms, int round, const char* what) const {
    const std::int64_t rows = block_rows(whole);
    const Tensor term = terms.slice((round - 1) * rows, round * rows);
    return group_->start_exchange(block(whole, after(round)), after(round), term, before(round), what);
}

void TensorParallel::add_terms(Context& context, Tensor y, Tensor whole, Tensor terms, const Transfers& rounds) const {
    for (std::size_t i = 0; i < rounds.size(); ++i) {
        rounds[i]->wait();
        residual(context, {.x2 = y, .h = {.x = block(terms, std::int64_t(i))}, .b = i == 0 ? block(whole, rank()) : y});
    }
}

}  // namespace gpas
