// A number of bytes as people read it.
#pragma once

#include <string>

namespace gpas {

// In the largest binary unit that leaves at least 1, with three significant digits: "512 bytes", "1.50 KiB",
// "23.4 MiB", "2.00 GiB", up to TiB. "?" if the number is NaN or Inf. Thread-safe.
std::string bytes_text(double bytes);

}  // namespace gpas
