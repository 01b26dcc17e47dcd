// How far the ranks' clocks are apart.
#pragma once

#include "parallel/communicator.hpp"

#include <vector>

namespace gpas::preflight {

struct Clocks {
    std::vector<double> offsets;  // seconds ahead of rank 0's
    std::vector<double> bounds;   // half of the round trip they were found by: the error is not larger
};

// The best of several questions to each rank. Collective; the result is on every rank.
Clocks measure_clocks(Communicator& world);

}  // namespace gpas::preflight
