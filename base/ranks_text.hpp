// Names ranks in messages.
#pragma once

#include <string>
#include <vector>

namespace gpas {

// "rank 3", "ranks 0-3, 5": ascending ranks, consecutive ones as a range. Names 8 ranges, then "and 12 more".
std::string ranks_text(const std::vector<int>& ranks);

}  // namespace gpas
