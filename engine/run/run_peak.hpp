// The peak rate of all ranks of a run, the denominator of MFU.
#pragma once

#include "engine/plan/peak.hpp"
#include "engine/run/setup.hpp"

#include <string>

namespace gpas {

struct RunPeak {
    double flops = 0.0;     // floating-point operations per second, of all ranks
    std::string source;     // for the log
    MeasuredPeak measured;  // flops 0: not measured
};

// The peak is compute.peak_tflops if that is set. Otherwise it is measured once per run and layout and saved in
// checkpoints, so that MFU before and after a resume uses the same peak. recalled: from the checkpoint that the run
// resumed from; used if it was measured on the same hardware with the same settings. Collective.
RunPeak find_run_peak(const RunSetup& setup, const MeasuredPeak& recalled);

}  // namespace gpas
