#include "tests/virtual_gpu/nccl_sum.hpp"

#include "kernels/tensor.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace gpas::virtual_gpu {
namespace {

template <class T, class Wide>
void reduce_as(void* to, const std::vector<const std::byte*>& parts, std::size_t count, ncclRedOp_t operation) {
    for (std::size_t i = 0; i < count; ++i) {
        Wide result{};
        for (std::size_t rank = 0; rank < parts.size(); ++rank) {
            T value;
            std::memcpy(&value, parts[rank] + i * sizeof(T), sizeof(T));
            const Wide wide = Wide(value);
            if (rank == 0)
                result = wide;
            else if (operation == ncclMax)
                result = std::max(result, wide);
            else if (operation == ncclMin)
                result = std::min(result, wide);
            else
                result += wide;
        }
        const T rounded = T(result);
        std::memcpy(static_cast<std::byte*>(to) + i * sizeof(T), &rounded, sizeof(T));
    }
}

// bf16 has conversions from and to float only.
struct Bf16 {
    bf16 value;
    Bf16() = default;
    explicit Bf16(double x) : value(float(x)) {}
    explicit operator double() const { return double(float(value)); }
};

}  // namespace

void reduce(void* to, const std::vector<const std::byte*>& parts, std::size_t count, ncclDataType_t type,
            ncclRedOp_t operation) {
    switch (type) {
        case ncclFloat32: return reduce_as<float, double>(to, parts, count, operation);
        case ncclFloat64: return reduce_as<double, double>(to, parts, count, operation);
        case ncclBfloat16: return reduce_as<Bf16, double>(to, parts, count, operation);
        case ncclInt32: return reduce_as<std::int32_t, std::int64_t>(to, parts, count, operation);
        case ncclInt64: return reduce_as<std::int64_t, std::int64_t>(to, parts, count, operation);
        default: return reduce_as<std::uint8_t, std::int64_t>(to, parts, count, operation);
    }
}

}  // namespace gpas::virtual_gpu
