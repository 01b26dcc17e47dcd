// What this machine can do at best, for the share of it that training reaches (MFU).
#pragma once

#include "kernels/context.hpp"

#include <string>

namespace gpas {

struct Peak {
    double flops = 0.0;  // floating-point operations per second; 0: unknown
    std::string source;  // for the log
    bool measured = false;
};

// A peak as a checkpoint remembers it.
struct MeasuredPeak {
    std::string key;     // what it was measured on, see peak_key()
    double flops = 0.0;  // per second, of all ranks; 0: none
};
std::string text_of(const MeasuredPeak& peak);
MeasuredPeak parse_peak(const std::string& text);  // flops 0 if the text is not one of text_of()

// Device or processor, threads per rank, dtype and ranks: "AMD EPYC 9554, 4 threads, fp32, 8 ranks".
std::string peak_key(Device device, int threads, Dtype dtype, int ranks);

// Of the chosen GPU in bf16: its data sheet's figure, if device_table.hpp has it. Else measured: the median rate of
// a few large matrix products in this dtype, on the GPU or by this many threads, within about a third of a second.
Peak peak_of_device(Device device, int threads, Dtype dtype);

}  // namespace gpas
