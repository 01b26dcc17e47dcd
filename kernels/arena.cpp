#include "kernels/arena.hpp"

#include "base/bytes_text.hpp"
#include "base/error.hpp"
#include "base/error_of.hpp"
#include "kernels/cuda/gpu.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace gpas {

namespace {

std::byte* host_memory(std::int64_t bytes) {
    void* memory = mmap(nullptr, std::size_t(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail(ExitCode::environment, "{}",
             host_memory_short(fmt::format("{} for the run: {}", bytes_text(double(bytes)), std::strerror(errno))));
    madvise(memory, std::size_t(bytes), MADV_HUGEPAGE);  // a hint: if it fails, only speed suffers
    return static_cast<std::byte*>(memory);
}

}  // namespace

void ReleaseMemory::operator()(std::byte* memory) const {
    if (device == Device::cuda)
        cuda::release(memory);
    else
        munmap(memory, std::size_t(bytes));
}

Arena::Arena(std::int64_t capacity_bytes, Device device)
    : device_(device), capacity_bytes_(std::max<std::int64_t>(capacity_bytes, alignment_bytes)) {
    std::byte* memory = device == Device::cuda ? static_cast<std::byte*>(cuda::allocate(capacity_bytes_))
                                               : host_memory(capacity_bytes_);
    memory_ = {memory, ReleaseMemory{capacity_bytes_, device}};
}

Tensor Arena::allocate(Dtype dtype, std::initializer_list<std::int64_t> shape) {
    Tensor tensor(nullptr, dtype, shape, device_);
    const std::int64_t begin = used_bytes_;
    const std::int64_t end = begin + (tensor.bytes() + alignment_bytes - 1) / alignment_bytes * alignment_bytes;
    if (memory_) {
        require(end <= capacity_bytes_, "the arena of {} bytes is full: {} bytes used, {} asked for", capacity_bytes_,
                begin, tensor.describe());
        tensor.data = memory_.get() + begin;
    }
    used_bytes_ = end;
    peak_bytes_ = std::max(peak_bytes_, end);
    return tensor;
}

}  // namespace gpas
