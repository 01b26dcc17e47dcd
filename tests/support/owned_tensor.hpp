// Tensors that own their memory, for tests of single operations. The memory is filled with NaN and enclosed by guard
// zones.
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

// The dtypes of activations.
inline constexpr Dtype dtypes[] = {Dtype::fp32, Dtype::bf16};

// Half the distance from 1 to the next number: the largest relative error of one rounding.
inline double unit_roundoff(Dtype dtype) { return dtype == Dtype::bf16 ? 0x1p-8 : 0x1p-24; }

inline double round_to(Dtype dtype, double x) {
    return dtype == Dtype::bf16 ? double(float(bf16(float(x)))) : double(float(x));
}

class OwnedTensor {
public:
    OwnedTensor(Dtype dtype, std::initializer_list<std::int64_t> shape) : tensor_(nullptr, dtype, shape, test_device) {
        // 0xff… is NaN as a float and -1 as an integer.
        memory_.assign(std::size_t(tensor_.bytes() + 2 * guard_bytes), poison);
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
    operator Tensor() const { return tensor_; }  // NOLINT: implicit, so that tests pass it as a tensor

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
    // All elements as stored, that is, rounded to the dtype.
    std::vector<double> values() const {
        std::vector<double> out;
        for (std::int64_t i = 0; i < tensor_.elements(); ++i) out.push_back(at(i));
        return out;
    }
    // All bytes, including the guard zones. If two tensors have equal bytes, their elements are bitwise equal, and the
    // same bytes outside were written (normally no bytes).
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
    operator double() const { return tensor_.at(0); }  // NOLINT: implicit, so that tests compare it as a number

private:
    OwnedTensor tensor_;
};

// An int32 tensor of ids, labels or boundaries that the device can read.
inline OwnedTensor view(const std::vector<std::int32_t>& ids) {
    OwnedTensor tensor(Dtype::int32, {std::int64_t(ids.size())});
    for (std::size_t i = 0; i < ids.size(); ++i) tensor.set(std::int64_t(i), ids[i]);
    return tensor;
}

// Uniformly distributed in [-1, 1); equal seeds give equal values on every run.
inline std::vector<double> random_values(std::int64_t count, unsigned seed) {
    std::mt19937 generator(seed);
    std::vector<double> out(static_cast<std::size_t>(count));
    for (double& x : out) x = double(generator()) * 0x1p-31 - 1.0;
    return out;
}

// Scratch memory filled with NaN: if an operation reads scratch that it has not written, its result is NaN.
inline Arena poisoned_scratch(std::int64_t capacity_bytes) {
    Arena arena = device_arena(capacity_bytes);
    const Arena::Scope scope(arena);
    const Tensor all = arena.allocate(Dtype::fp32, {capacity_bytes / 4});
    set_device_bytes(all.data, 0xff, std::size_t(all.bytes()));
    return arena;
}

}  // namespace gpas::test_support
