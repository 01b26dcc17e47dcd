// Replaces the CUDA kernels in a build without CUDA: each function throws Error(environment). See no_cuda.cpp.
#include "base/error.hpp"
#include "kernels/backend.hpp"
#include "kernels/cuda/limits.hpp"
#include "kernels/cuda/no_cuda.hpp"

namespace gpas::cuda {
namespace {

[[noreturn]] void refuse_kernel() { fail(ExitCode::environment, no_cuda_reason); }

}  // namespace

const Backend& backend() { refuse_kernel(); }
std::int64_t widest_row(Dtype, std::int64_t) { refuse_kernel(); }
std::string attention_refusal(AttentionShape) { refuse_kernel(); }

}  // namespace gpas::cuda
