// Peak floating-point rate of a rank's device, the denominator of MFU.
#pragma once

#include "kernels/context.hpp"

#include <string>

namespace gpas {

struct Peak {
    double flops = 0.0;  // floating-point operations per second; 0: unknown
    std::string source;  // for the log
    bool measured = false;
};

// A measured peak as it is saved in checkpoints, so that MFU before and after a resume uses the same peak.
struct MeasuredPeak {
    std::string key;     // hardware and settings of the measurement, see peak_key()
    double flops = 0.0;  // per second, of all ranks; 0: not measured
};
std::string text_of(const MeasuredPeak& peak);
MeasuredPeak parse_peak(const std::string& text);  // inverse of text_of(); flops = 0 for any other text

// Device or processor, threads per rank, dtype and ranks: "AMD EPYC 9554, 4 threads, fp32, 8 ranks".
std::string peak_key(Device device, int threads, Dtype dtype, int ranks);

// Peak of one rank. On a GPU in bf16: the data sheet's figure if device_table.hpp has the device. Otherwise measured in
// about a third of a second: the median rate of a few large matrix products in this dtype, on the GPU or by `threads`
// threads. If the measurement fails, flops is 0 and `source` has the reason.
Peak peak_of_device(Device device, int threads, Dtype dtype);

}  // namespace gpas
