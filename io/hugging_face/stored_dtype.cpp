#include "io/hugging_face/safetensors.hpp"
#include "kernels/tensor.hpp"

#include <bit>
#include <cmath>
#include <cstring>

namespace gpas {
namespace {

constexpr int fp16_bias = 15, fp32_bias = 127, dropped_bits = 13;

std::uint16_t to_fp16(float value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    const std::uint16_t sign = std::uint16_t(bits >> 16 & 0x8000);
    const std::uint32_t magnitude = bits & 0x7fffffff;
    if (std::isnan(value)) return sign | 0x7e00;
    if (magnitude >= 0x477ff000) return sign | 0x7c00;  // 65520 and more
    if (magnitude < 0x38800000)                         // below 2^-14: multiples of 2^-24
        return sign | std::uint16_t(std::lrint(std::fabs(value) * 0x1p24F));
    const std::uint32_t half = 0xfff + (magnitude >> dropped_bits & 1);
    return sign | std::uint16_t((magnitude + half - (std::uint32_t(fp32_bias - fp16_bias) << 23)) >> dropped_bits);
}

float from_fp16(std::uint16_t bits) {
    const std::uint32_t sign = std::uint32_t(bits & 0x8000) << 16;
    const std::uint32_t exponent = bits >> 10 & 0x1f, fraction = bits & 0x3ff;
    if (exponent == 0) return std::copysign(float(fraction) * 0x1p-24F, sign ? -1.0F : 1.0F);
    const std::uint32_t wide = exponent == 31 ? 255 : exponent + fp32_bias - fp16_bias;
    return std::bit_cast<float>(sign | wide << 23 | fraction << dropped_bits);
}

}  // namespace

const char* safetensors_name(StoredDtype dtype) {
    return dtype == StoredDtype::fp32 ? "F32" : dtype == StoredDtype::bf16 ? "BF16" : "F16";
}

std::int64_t bytes_of(StoredDtype dtype) { return dtype == StoredDtype::fp32 ? 4 : 2; }

std::uint16_t to_stored(StoredDtype dtype, float value) {
    return dtype == StoredDtype::fp16 ? to_fp16(value) : std::bit_cast<std::uint16_t>(bf16(value));
}

float from_stored(StoredDtype dtype, std::uint16_t bits) {
    return dtype == StoredDtype::fp16 ? from_fp16(bits) : std::bit_cast<float>(std::uint32_t(bits) << 16);
}

}  // namespace gpas
