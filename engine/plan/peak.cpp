#include "engine/plan/peak.hpp"

#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "engine/plan/device_table.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/ops.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <vector>

namespace gpas {
namespace {

double measured_rate(Device device, int threads, Dtype dtype, std::int64_t side) {
    const double operations = 2.0 * double(side) * double(side) * double(side);
    Context context(threads, Arena(0, device));
    Arena arena(3 * side * side * bytes_per_element(dtype) + 3 * Arena::alignment_bytes, device);
    const Tensor y = arena.allocate(dtype, {side, side});
    const Tensor x = arena.allocate(dtype, {side, side});
    const Tensor w = arena.allocate(dtype, {side, side});
    fill(context, x, 0.5F);
    fill(context, w, 0.25F);
    matmul(context, y, x, w);  // warm-up: the first call compiles the kernel
    context.synchronize();
    std::vector<double> rates;
    const Stopwatch total;
    while (rates.size() < 15 && (rates.size() < 3 || total.seconds() < 0.3)) {
        const Stopwatch watch;
        matmul(context, y, x, w);
        context.synchronize();
        rates.push_back(operations / watch.seconds());
    }
    std::nth_element(rates.begin(), rates.begin() + std::ptrdiff_t(rates.size() / 2), rates.end());
    return rates[rates.size() / 2];
}

Peak measured_peak(Device device, int threads, Dtype dtype) {
    const std::int64_t side = device == Device::cuda ? 8192 : 1024;
    try {
        return {measured_rate(device, threads, dtype, side), fmt::format("measured: a {0} x {0} x {0} product", side),
                true};
    } catch (const Error& error) {
        if (device == Device::cpu) throw;
        return {0.0, fmt::format("unknown: {}", error.what()), false};  // the model uses all memory
    }
}

std::string processor_name() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
    return "CPU";
}

}  // namespace

std::string text_of(const MeasuredPeak& peak) { return fmt::format("{:a} {}", peak.flops, peak.key); }

MeasuredPeak parse_peak(const std::string& text) {
    char* end = nullptr;
    const double flops = std::strtod(text.c_str(), &end);
    if (*end != ' ' || !std::isfinite(flops)) return {};
    return {.key = end + 1, .flops = flops};
}

std::string peak_key(Device device, int threads, Dtype dtype, int ranks) {
    return fmt::format("{}, {} threads, {}, {} ranks", device == Device::cuda ? cuda::device_name() : processor_name(),
                       threads, dtype_name(dtype), ranks);
}

Peak peak_of_device(Device device, int threads, Dtype dtype) {
    if (device == Device::cuda && dtype == Dtype::bf16) {
        if (const DeviceFigures* figures = figures_of(cuda::device_name()))
            return {figures->bf16_tflops * 1e12, fmt::format("{}: {}", figures->name, figures->source), false};
    }
    return measured_peak(device, threads, dtype);
}

}  // namespace gpas
