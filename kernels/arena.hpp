// Memory by lifetime: one block, handed out front to back, given back all at once. A measuring arena has no memory and
// only counts, so that the code which lays out a model's buffers also plans their size (`gpas plan` and the run agree).
#pragma once

#include "kernels/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>

namespace gpas {

struct ReleaseMemory {
    std::int64_t bytes = 0;
    Device device = Device::cpu;
    void operator()(std::byte* memory) const;
};

class Arena {
public:
    static constexpr std::int64_t alignment_bytes = 64;

    // Counts without owning memory: the tensors it makes have a null pointer.
    static Arena measuring() { return Arena(); }
    // Owns `capacity_bytes`, zero-filled, of this machine or of the GPU that this thread has chosen. Error(environment)
    // when the memory is not to be had.
    explicit Arena(std::int64_t capacity_bytes, Device device = Device::cpu);

    // Error(internal) when an owning arena is full: plans and runs come from the same code, so this is a bug.
    Tensor allocate(Dtype dtype, std::initializer_list<std::int64_t> shape);

    std::int64_t used_bytes() const { return used_bytes_; }
    std::int64_t peak_bytes() const { return peak_bytes_; }
    std::int64_t capacity_bytes() const { return capacity_bytes_; }
    bool owns_memory() const { return memory_ != nullptr; }
    Device device() const { return device_; }

    // Gives back, at the end of a scope, what was allocated within it.
    class Scope {
    public:
        explicit Scope(Arena& arena) : arena_(arena), used_bytes_(arena.used_bytes_) {}
        ~Scope() { arena_.used_bytes_ = used_bytes_; }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        Arena& arena_;
        std::int64_t used_bytes_;
    };

private:
    Arena() = default;

    std::unique_ptr<std::byte, ReleaseMemory> memory_;
    Device device_ = Device::cpu;
    std::int64_t capacity_bytes_ = 0;
    std::int64_t used_bytes_ = 0;
    std::int64_t peak_bytes_ = 0;
};

}  // namespace gpas
