// Measures the differences between the ranks' clocks.
#pragma once

#include "parallel/communicator.hpp"

#include <vector>

namespace gpas::preflight {

struct Clocks {
    std::vector<double> offsets;  // per rank: seconds ahead of rank 0's clock
    std::vector<double> bounds;   // per rank: largest error of the offset, half of the round trip
};

// Rank 0 asks each rank several times for its time and uses the shortest round trip. Collective; the same result on
// every rank.
Clocks measure_clocks(Communicator& world);

}  // namespace gpas::preflight
