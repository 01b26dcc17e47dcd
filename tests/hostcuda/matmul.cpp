// Products on the emulated GPU are the CPU's: cuBLASLt cannot run here.
#include "kernels/cuda/matmul.hpp"

#include "kernels/cpu/matmul.hpp"
#include "tests/hostcuda/device_memory.hpp"

namespace gpas::cuda {

void matmul(Context& context, Tensor y, Tensor x, Tensor w) {
    const hostcuda::DeviceAccess access;
    cpu::product(context, cpu::plain(y), cpu::plain(x), cpu::transposed(w), false);
}
void matmul_dx(Context& context, Tensor dx, Tensor dy, Tensor w) {
    const hostcuda::DeviceAccess access;
    cpu::product(context, cpu::plain(dx), cpu::plain(dy), cpu::plain(w), false);
}
void matmul_dw(Context& context, Tensor dw, Tensor dy, Tensor x) {
    const hostcuda::DeviceAccess access;
    cpu::product(context, cpu::plain(dw), cpu::transposed(dy), cpu::plain(x), true);
}

void measure_matmul_plans(Context&, const std::string&) {}

}  // namespace gpas::cuda
