// How fast messages and matrix products are. All collective; results are on every rank.
#pragma once

#include "engine/preflight/judge.hpp"
#include "kernels/context.hpp"
#include "parallel/communicator.hpp"

#include <vector>

namespace gpas::preflight {

// Each round's pairs at the same time, messages going to and fro. large_bytes 0: small messages only.
std::vector<MeasuredLink> measure_links(Communicator& world, const std::vector<Round>& rounds,
                                        std::int64_t large_bytes);

// Seconds of an all-reduce of fp32 tensors of so many bytes, where the context computes: the median of a few, as the
// slowest rank of the group had it.
double all_reduce_seconds(Communicator& group, Context& context, std::int64_t bytes);

// Seconds until this rank has sent so many bytes to the next one of a pipeline and received as many from the one
// before, while all do so: the median of a few.
double neighbour_seconds(Communicator& stages, Context& context, std::int64_t bytes);

// Floating-point operations a second of y [rows,out] = x [rows,in] wᵀ on this rank: the median over `seconds`, while
// the other ranks of the world do the same.
struct ProductShape {
    std::int64_t rows = 0;
    std::int64_t out = 0;
    std::int64_t in = 0;
    Dtype dtype = Dtype::fp32;
};
double product_rate(Communicator& world, Context& context, const ProductShape& shape, double seconds);

}  // namespace gpas::preflight
