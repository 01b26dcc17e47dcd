// Formats numbers for people.
#pragma once

#include <string>

namespace gpas {

std::string duration_text(double seconds);  // "7s", "12m05s", "3h07m", "2d04h"; "?" if unknown
std::string quantity_text(double number);   // "950", "12.3k", "4.56M", "1.20G"; from 1000 E on "1.00e+21"
std::string perplexity_text(double loss);   // exp(loss): "17.48", "1216.07", "2.35e+06", "inf"; "?" if unknown

}  // namespace gpas
