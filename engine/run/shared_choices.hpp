// Makes all ranks use the same algorithm for the same matrix product, so that replicas compute the same bits.
#pragma once

#include "kernels/cuda/matmul_choices.hpp"
#include "parallel/communicator.hpp"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace gpas {

struct SharedChoices {
    cuda::MatmulChoices choices;  // for the products of all ranks whose machine equals this rank's
    std::int64_t timed = 0;       // number of products that were timed now, over all ranks
    std::int64_t products = 0;    // number of different products and machines, over all ranks
};

// mine: this rank's products. machine: GPU and library versions that compute them (matmul_machine). kept: choices of an
// earlier start on rank 0's machine; only rank 0's argument is used. A product without a kept choice is timed by the
// lowest rank that has it, among ranks with the same machine; all these ranks use the choice. time: times products
// and returns one choice each. Collective; an error of `time` is thrown on every rank.
SharedChoices share_choices(
    Communicator& world, const std::vector<cuda::MatmulKey>& mine, const std::string& machine,
    const cuda::MatmulChoices& kept,
    const std::function<std::vector<cuda::MatmulChoice>(std::span<const cuda::MatmulKey>)>& time);

}  // namespace gpas
