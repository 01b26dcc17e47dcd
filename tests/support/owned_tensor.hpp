// Tensors with memory of their own for tests of single operations: poisoned with NaN, between guard zones.
#pragma once

#include "kernels/context.hpp"
#include "kernels/tensor.hpp"
#include "tests/support/test_device.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <random>
#include <vector>

namespace gpas::test_support {

// Half the distance from 1 to the next number: what one rounding costs, relative.
inline double unit_roundoff(Dtype dtype) { return dtype == Dtype::bf16 ? 0x1p-8 : 0x1p-24; }

inline double round_to(Dtype dtype, double x) {
    return dtype == Dtype::bf16 ? double(float(bf16(float(x)))) : double(float(x));
}

class OwnedTensor {
public:
    OwnedTensor(Dtype dtype, std::initializer_list<std::int64_t> shape) : tensor_(nullptr, dtype, shape, test_device) {
        memory_.assign(std::size_t(tensor_.bytes() + 2 * guard_bytes), poison);  // 0xff…: NaN, and -1 as an integer
        tensor_.data = memory_.data() + guard_bytes;
    }
    OwnedTensor(Dtype dtype, std::initializer_list<std::int64_t> shape, const std::vector<double>& values)
        : OwnedTensor(dtype, shape) {
        for (std::size_t i = 0; i < values.size(); ++i) set(std::int64_t(i), values[i]);
    }
    OwnedTensor(const OwnedTensor&) = delete;
    OwnedTensor& operator=(const OwnedTensor&) = delete;
    OwnedTensor(OwnedTensor&&) = default;

    Tensor tensor() const { return tensor_; }
    operator Tensor() const { return tensor_; }  // NOLINT: to be passed like a tensor

    double at(std::int64_t i) const {
        switch (tensor_.dtype) {
            case Dtype::bf16: return double(float(tensor_.as<bf16>()[i]));
            case Dtype::int32: return tensor_.as<std::int32_t>()[i];
            case Dtype::fp64: return tensor_.as<double>()[i];
            default: return double(tensor_.as<float>()[i]);
        }
    }
    void set(std::int64_t i, double value) {
        switch (tensor_.dtype) {
            case Dtype::bf16: tensor_.as<bf16>()[i] = bf16(float(value)); break;
            case Dtype::int32: tensor_.as<std::int32_t>()[i] = std::int32_t(value); break;
            case Dtype::fp64: tensor_.as<double>()[i] = value; break;
            default: tensor_.as<float>()[i] = float(value);
        }
    }
    // As stored: rounded to the dtype.
    std::vector<double> values() const {
        std::vector<double> out;
        for (std::int64_t i = 0; i < tensor_.elements(); ++i) out.push_back(at(i));
        return out;
    }
    // Every byte, guard zones included: equal bits, and nothing written outside.
    std::vector<std::byte> bytes() const { return {memory_.begin(), memory_.end()}; }
    bool guards_are_intact() const {
        for (std::size_t i = 0; i < std::size_t(guard_bytes); ++i)
            if (memory_[i] != poison || memory_[memory_.size() - 1 - i] != poison) return false;
        return true;
    }

private:
    static constexpr std::int64_t guard_bytes = 256;  // keeps the alignment of the memory
    static constexpr std::byte poison{0xff};
    Tensor tensor_;
    std::vector<std::byte, SharedAllocator<std::byte>> memory_;
};

// One fp32 number that operations add to.
class OwnedScalar {
public:
    explicit OwnedScalar(double value) : tensor_(Dtype::fp32, {1}, {value}) {}
    float* address() const { return tensor_.tensor().as<float>(); }
    operator double() const { return tensor_.at(0); }  // NOLINT: to be compared like the number

private:
    OwnedTensor tensor_;
};

// Ids, labels or boundaries where the device can read them.
inline OwnedTensor view(const std::vector<std::int32_t>& ids) {
    OwnedTensor tensor(Dtype::int32, {std::int64_t(ids.size())});
    for (std::size_t i = 0; i < ids.size(); ++i) tensor.set(std::int64_t(i), ids[i]);
    return tensor;
}

// Uniform in [-1, 1), the same on every run.
inline std::vector<double> random_values(std::int64_t count, unsigned seed) {
    std::mt19937 generator(seed);
    std::vector<double> out(static_cast<std::size_t>(count));
    for (double& x : out) x = double(generator()) * 0x1p-31 - 1.0;
    return out;
}

// Scratch full of NaN: an operation that reads what it did not write shows it.
inline Arena poisoned_scratch(std::int64_t capacity_bytes) {
    Arena arena = device_arena(capacity_bytes);
    const Arena::Scope scope(arena);
    const Tensor all = arena.allocate(Dtype::fp32, {capacity_bytes / 4});
    set_device_bytes(all.data, 0xff, std::size_t(all.bytes()));
    return arena;
}

}  // namespace gpas::test_support
