// How ranks come to the same algorithms for the same matrix products.
#pragma once

#include "kernels/cuda/matmul_choices.hpp"
#include "parallel/communicator.hpp"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace gpas {

struct SharedChoices {
    cuda::MatmulChoices choices;  // of all ranks' products on machines like this rank's
    std::int64_t timed = 0;       // of those of all ranks: how many were timed now
    std::int64_t products = 0;    // of all ranks
};

// mine: this rank's products; machine: what they are computed by (matmul_machine). kept: what an earlier start chose on
// rank 0's machine; other ranks' are not read. Of ranks with the same machine, the lowest one that has a product which
// is not kept times it, and all take its choice: rank 0's, if rank 0 has the product. Collective; an error of `time` is
// thrown on every rank.
SharedChoices share_choices(
    Communicator& world, const std::vector<cuda::MatmulKey>& mine, const std::string& machine,
    const cuda::MatmulChoices& kept,
    const std::function<std::vector<cuda::MatmulChoice>(std::span<const cuda::MatmulKey>)>& time);

}  // namespace gpas
