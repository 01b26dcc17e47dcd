// Measures the speed of messages and matrix products.
#pragma once

#include "engine/preflight/judge.hpp"
#include "kernels/context.hpp"
#include "parallel/communicator.hpp"

#include <vector>

namespace gpas::preflight {

// Measures links with ping-pong messages; the pairs of one round measure at the same time. large_bytes: size of the
// large messages; 0: small messages only. Collective; the same result on every rank.
std::vector<MeasuredLink> measure_links(Communicator& world, const std::vector<Round>& rounds,
                                        std::int64_t large_bytes);

// Seconds of an all-reduce of an fp32 tensor of `bytes` bytes in the memory of the context's device: the median of
// a few repetitions, on the slowest rank of the group. Collective over `group`.
double all_reduce_seconds(Communicator& group, Context& context, std::int64_t bytes);

// Seconds in which this rank sends `bytes` bytes to the next pipeline stage and receives as many from the previous one,
// while all stages do the same: the median of a few repetitions. Collective over `stages`.
double neighbour_seconds(Communicator& stages, Context& context, std::int64_t bytes);

// Floating-point operations per second of y [rows,out] = x [rows,in] wᵀ on this rank: the median of repetitions for
// `seconds` seconds, while all other ranks do the same. Collective over `world`.
struct ProductShape {
    std::int64_t rows = 0;
    std::int64_t out = 0;
    std::int64_t in = 0;
    Dtype dtype = Dtype::fp32;
};
double product_rate(Communicator& world, Context& context, const ProductShape& shape, double seconds);

}  // namespace gpas::preflight
