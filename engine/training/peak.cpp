#include "engine/training/peak.hpp"

#include "engine/training/stopwatch.hpp"
#include "kernels/ops.hpp"

#include <algorithm>
#include <vector>

namespace gpas {

std::int64_t matmul_rate_side(Device device) { return device == Device::cuda ? 8192 : 1024; }

double measure_matmul_rate(Device device, int threads, Dtype dtype) {
    const std::int64_t side = matmul_rate_side(device);
    const double operations = 2.0 * double(side) * double(side) * double(side);
    Context context(threads, Arena(0, device));
    Arena arena(3 * side * side * bytes_per_element(dtype) + 3 * Arena::alignment_bytes, device);
    const Tensor y = arena.allocate(dtype, {side, side});
    const Tensor x = arena.allocate(dtype, {side, side});
    const Tensor w = arena.allocate(dtype, {side, side});
    fill(context, x, 0.5F);
    fill(context, w, 0.25F);
    matmul(context, y, x, w);  // compiles it
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

}  // namespace gpas
