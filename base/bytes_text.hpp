// Formats a number of bytes for people.
#pragma once

#include <string>

namespace gpas {

// Uses the largest binary unit, up to TiB, in which the value is at least 1, and three significant digits: "512 bytes",
// "1.50 KiB", "23.4 MiB", "2.00 GiB". "?" if the number is NaN or Inf. Thread-safe.
std::string bytes_text(double bytes);

}  // namespace gpas
