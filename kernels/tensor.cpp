#include "kernels/tensor.hpp"

#include <fmt/ranges.h>

#include <span>

namespace gpas {

const char* dtype_name(Dtype dtype) {
    switch (dtype) {
        case Dtype::fp32: return "fp32";
        case Dtype::bf16: return "bf16";
        case Dtype::int32: return "int32";
    }
    return "?";
}

std::string Tensor::describe() const {
    return fmt::format("{}[{}]", dtype_name(dtype), fmt::join(std::span(shape.data(), std::size_t(rank)), ","));
}

}  // namespace gpas
