// What each rank has, on every rank. Collective.
#pragma once

#include "parallel/communicator.hpp"

#include <string>
#include <vector>

namespace gpas::preflight {

// The text of each rank, of any length.
std::vector<std::string> gather(Communicator& world, const std::string& text, const char* what);
// The number of each rank.
std::vector<double> gather(Communicator& world, double number, const char* what);
// Several texts of each rank, as many on every rank and none with a newline: [text][rank].
std::vector<std::vector<std::string>> gather(Communicator& world, const std::vector<std::string>& texts,
                                             const char* what);

}  // namespace gpas::preflight
