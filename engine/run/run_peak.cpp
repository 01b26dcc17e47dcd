#include "engine/run/run_peak.hpp"

namespace gpas {

RunPeak find_run_peak(const RunSetup& setup, const MeasuredPeak& recalled) {
    Communicator& world = setup.world();
    const Device device = setup.device.device;
    const Dtype dtype = storage_dtype(setup.config.compute.dtype);
    const std::string key = peak_key(device, setup.threads, dtype, world.size());
    double known = recalled.key == key ? recalled.flops : 0.0;
    world.broadcast(&known, sizeof known, 0, "the remembered peak rate");  // the key has rank 0's processor
    Peak own;
    if (setup.config.compute.peak_tflops > 0)
        own = {.flops = setup.config.compute.peak_tflops * 1e12, .source = "compute.peak_tflops"};
    else if (known > 0)
        own = {.flops = known / world.size(), .source = "measured by an earlier start", .measured = true};
    else
        own = peak_of_device(device, setup.threads, dtype);
    RunPeak peak{.flops = own.flops, .source = own.source, .measured = {}};
    world.all_reduce(&peak.flops, 1, ReduceOp::sum, "peak rate");
    if (own.measured && known > 0) peak.flops = known;  // the same bits as before, without the sum's rounding
    if (own.measured) peak.measured = {.key = key, .flops = peak.flops};
    return peak;
}

}  // namespace gpas
