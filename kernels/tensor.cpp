#include "kernels/tensor.hpp"

#include "base/error.hpp"

#include <fmt/ranges.h>

#include <span>

namespace gpas {

const char* dtype_name(Dtype dtype) {
    switch (dtype) {
        case Dtype::fp32: return "fp32";
        case Dtype::bf16: return "bf16";
        case Dtype::int32: return "int32";
        case Dtype::fp64: return "fp64";
    }
    return "?";
}

std::string Tensor::describe() const {
    return fmt::format("{}[{}]", dtype_name(dtype), fmt::join(std::span(shape.data(), std::size_t(rank)), ","));
}

void Tensor::bad_rank(std::size_t rank) {
    fail(ExitCode::internal, "a tensor has at most {} dimensions, not {}", max_rank, rank);
}

void Tensor::bad_slice(std::int64_t begin, std::int64_t end) const {
    fail(ExitCode::internal, "slice [{}, {}) of {}", begin, end, describe());
}

void Tensor::bad_view(const Tensor& other) const {
    fail(ExitCode::internal, "view: {} elements seen as {}", elements(), other.describe());
}

void Tensor::bad_access(Dtype wanted) const {
    fail(ExitCode::internal, "{} accessed as {}", describe(), dtype_name(wanted));
}

}  // namespace gpas
