// All-gathers of texts and numbers: results are indexed by rank and equal on every rank. Collective.
#pragma once

#include "parallel/communicator.hpp"

#include <string>
#include <vector>

namespace gpas::preflight {

// One text per rank, of any length. what: names the message in reports of hangs.
std::vector<std::string> gather(Communicator& world, const std::string& text, const char* what);
// One number per rank.
std::vector<double> gather(Communicator& world, double number, const char* what);
// Several texts per rank, returned as [text][rank]. Every rank passes the same number of texts; no text has a newline.
std::vector<std::vector<std::string>> gather(Communicator& world, const std::vector<std::string>& texts,
                                             const char* what);

}  // namespace gpas::preflight
