// A tensor is a view: pointer, element type, shape. It does not own memory; the arena or buffer that it views does.
#pragma once

#include "kernels/host_device.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <type_traits>

namespace gpas {

enum class Dtype : std::uint8_t { fp32, bf16, int32, fp64 };  // fp64: only for sums and factors of a step

// Which memory a tensor is in, and which processor runs an operation.
enum class Device : std::uint8_t { cpu, cuda };

// bfloat16: the upper half of an fp32. Storage only; arithmetic is done in float.
struct bf16 {
    std::uint16_t bits = 0;
    bf16() = default;
    GPAS_HOST_DEVICE explicit bf16(float value) {  // round to nearest, ties to even; NaN stays NaN
        std::uint32_t u;
        std::memcpy(&u, &value, sizeof u);
        bits = (u & 0x7fffffffu) > 0x7f800000u ? std::uint16_t((u >> 16) | 0x40u)
                                               : std::uint16_t((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
    }
    GPAS_HOST_DEVICE explicit operator float() const {
        const std::uint32_t u = std::uint32_t(bits) << 16;
        float value;
        std::memcpy(&value, &u, sizeof value);
        return value;
    }
};

template <class T>
inline constexpr Dtype dtype_of = [] {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, bf16> || std::is_same_v<T, std::int32_t> ||
                  std::is_same_v<T, double>);
    if constexpr (std::is_same_v<T, float>)
        return Dtype::fp32;
    else if constexpr (std::is_same_v<T, bf16>)
        return Dtype::bf16;
    else if constexpr (std::is_same_v<T, double>)
        return Dtype::fp64;
    else
        return Dtype::int32;
}();

constexpr std::int64_t bytes_per_element(Dtype dtype) {
    return dtype == Dtype::bf16 ? 2 : dtype == Dtype::fp64 ? 8 : 4;
}
const char* dtype_name(Dtype dtype);  // "fp32", "bf16", "int32", "fp64"

// Row-major and contiguous, 1 to 4 dimensions. Trivially copyable, passed by value. A tensor with null data converts to
// false: as an argument it is "absent"; from a measuring arena it is planned but has no memory.
struct Tensor {
    static constexpr int max_rank = 4;

    void* data = nullptr;
    Dtype dtype = Dtype::fp32;
    Device device = Device::cpu;
    int rank = 0;
    std::array<std::int64_t, max_rank> shape{};

    Tensor() = default;
    Tensor(void* pointer, Dtype type, std::initializer_list<std::int64_t> dims, Device where = Device::cpu)
        : data(pointer), dtype(type), device(where) {
        if (int(dims.size()) > max_rank) bad_rank(dims.size());
        for (std::int64_t dim : dims) shape[std::size_t(rank++)] = dim;
    }

    explicit operator bool() const { return data != nullptr; }
    std::int64_t dim(int axis) const { return shape[std::size_t(axis)]; }
    std::int64_t elements() const {
        std::int64_t count = 1;
        for (int i = 0; i < rank; ++i) count *= shape[std::size_t(i)];
        return count;
    }
    std::int64_t bytes() const { return elements() * bytes_per_element(dtype); }

    // Shape as a matrix: the last dimension holds the columns; all other dimensions together index the rows.
    std::int64_t columns() const { return rank == 0 ? 1 : shape[std::size_t(rank - 1)]; }
    std::int64_t rows() const { return columns() == 0 ? 0 : elements() / columns(); }

    // View of indices [begin, end) of the first dimension.
    Tensor slice(std::int64_t begin, std::int64_t end) const {
        if (!(rank >= 1 && 0 <= begin && begin <= end && end <= shape[0])) bad_slice(begin, end);
        Tensor part = *this;
        part.shape[0] = end - begin;
        const std::int64_t row_bytes = shape[0] == 0 ? 0 : bytes() / shape[0];
        if (data != nullptr) part.data = static_cast<char*>(data) + begin * row_bytes;  // null stays null
        return part;
    }

    // View of the first elements with shape `dims`, which may have fewer elements than this tensor.
    Tensor first(std::initializer_list<std::int64_t> dims) const {
        Tensor other(data, dtype, dims, device);
        if (other.elements() > elements()) bad_view(other);
        return other;
    }

    // View of all elements with shape `dims`.
    Tensor view(std::initializer_list<std::int64_t> dims) const {
        Tensor other(data, dtype, dims, device);
        if (other.elements() != elements()) bad_view(other);
        return other;
    }

    // The data as T*; Error(internal) if T is not the dtype. No describe() without an error: inner loops call this.
    template <class T>
    T* as() const {
        if (dtype != dtype_of<std::remove_const_t<T>>) bad_access(dtype_of<std::remove_const_t<T>>);
        return static_cast<T*>(data);
    }

    std::string describe() const;  // "bf16[2048,512]"

private:
    // Each throws Error(internal). Not inline: nvcc compiles this header too, and inner loops call its functions.
    [[noreturn]] static void bad_rank(std::size_t rank);
    [[noreturn]] void bad_slice(std::int64_t begin, std::int64_t end) const;
    [[noreturn]] void bad_view(const Tensor& other) const;
    [[noreturn]] void bad_access(Dtype wanted) const;
};

}  // namespace gpas
