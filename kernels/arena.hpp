// A bump allocator: one block of memory, handed out from front to back and released as a whole. Each arena holds
// tensors of one lifetime. A measuring arena has no memory and only counts bytes: the code that lays out a model's
// buffers also computes their size, so `gpas plan` and the run agree.
#pragma once

#include "kernels/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>

namespace gpas {

// Deleter of an arena's block.
struct ReleaseMemory {
    std::int64_t bytes = 0;
    Device device = Device::cpu;
    void operator()(std::byte* memory) const;
};

class Arena {
public:
    static constexpr std::int64_t alignment_bytes = 64;  // of every tensor

    // Counts bytes without owning memory: its tensors have a null pointer.
    static Arena measuring() { return Arena(); }
    // Allocates `capacity_bytes` of zeroed memory on this machine, or on the GPU that this thread has chosen
    // (cuda::choose_device()). Error(environment) if that fails.
    explicit Arena(std::int64_t capacity_bytes, Device device = Device::cpu);

    // A tensor in the next free bytes; does not write them. Error(internal) if an owning arena is full: the plan and
    // the run come from the same code, so this is a bug. Not thread-safe.
    Tensor allocate(Dtype dtype, std::initializer_list<std::int64_t> shape);

    std::int64_t used_bytes() const { return used_bytes_; }
    std::int64_t peak_bytes() const { return peak_bytes_; }  // largest used_bytes() so far
    std::int64_t capacity_bytes() const { return capacity_bytes_; }
    Device device() const { return device_; }

    // Its destructor releases what was allocated since its constructor.
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
