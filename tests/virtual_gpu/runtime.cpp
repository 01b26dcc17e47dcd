// The CUDA runtime functions that gpas calls, for virtual GPUs.
#include "tests/virtual_gpu/device.hpp"
#include "tests/virtual_gpu/findings.hpp"

#include <cuda_runtime_api.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

using namespace gpas::virtual_gpu;

namespace {

Stream* stream_of(cudaStream_t stream) {
    return stream != nullptr ? reinterpret_cast<Stream*>(stream) : current_device().legacy_stream();
}
Event& event_of(cudaEvent_t event) { return *reinterpret_cast<Event*>(event); }

cudaError_t last_state() { return current_device().has_failed() ? cudaErrorLaunchFailure : cudaSuccess; }

// Pinned host memory. Key: address.
struct Pinned {
    std::mutex mutex;
    std::map<char*, std::size_t> blocks;
    bool has(const void* memory) {
        const std::lock_guard lock(mutex);
        auto next = blocks.upper_bound(const_cast<char*>(static_cast<const char*>(memory)));
        if (next == blocks.begin()) return false;
        --next;
        return static_cast<const char*>(memory) < next->first + next->second;
    }
};

Pinned& pinned() {
    static auto* const all = new Pinned;
    return *all;
}

const char* name_of(cudaMemcpyKind kind) {
    switch (kind) {
        case cudaMemcpyHostToDevice: return "a copy from the host";
        case cudaMemcpyDeviceToHost: return "a copy to the host";
        default: return "a copy on the GPU";
    }
}

std::string named(cudaMemcpyKind kind, std::size_t bytes) {
    return std::string(name_of(kind)) + " of " + std::to_string(bytes) + " bytes";
}

constexpr int host_poison = 0xff;

// Host memory that enqueued copies to GPUs have not read yet.
struct Unread {
    std::mutex mutex;
    std::multimap<const char*, std::size_t> ranges;
    void add(const void* begin, std::size_t bytes) {
        const std::lock_guard lock(mutex);
        ranges.emplace(static_cast<const char*>(begin), bytes);
    }
    void remove(const void* begin, std::size_t bytes) {
        const std::lock_guard lock(mutex);
        const auto [first, last] = ranges.equal_range(static_cast<const char*>(begin));
        for (auto each = first; each != last; ++each)
            if (each->second == bytes) {
                ranges.erase(each);
                return;
            }
    }
    bool overlaps(const void* begin, std::size_t bytes) {
        const std::lock_guard lock(mutex);
        const auto* const at = static_cast<const char*>(begin);
        return std::any_of(ranges.begin(), ranges.end(), [&](const auto& range) {
            return range.first < at + bytes && at < range.first + range.second;
        });
    }
};

Unread& unread() {
    static auto* const all = new Unread;
    return *all;
}

// Takes a snapshot of the host memory when the copy is enqueued. The memory must still be equal to it when the copy
// runs; otherwise the program has changed the memory too early.
void copy_from_host(Stream* stream, void* to, const void* from, std::size_t bytes) {
    auto before =
        std::make_shared<std::vector<char>>(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
    unread().add(from, bytes);
    stream->device->enqueue(stream, named(cudaMemcpyHostToDevice, bytes), [=] {
        unread().remove(from, bytes);
        if (std::memcmp(before->data(), from, bytes) != 0)
            report(named(cudaMemcpyHostToDevice, bytes) + ": the host wrote to the memory before the copy had ended");
        touch(to, bytes, Access::write);
        std::memcpy(to, before->data(), bytes);
    });
}

// Poisons the host memory until the copy runs: a program that reads the memory too early reads NaN.
void copy_to_host(Stream* stream, void* to, const void* from, std::size_t bytes) {
    const bool poisoned = !unread().overlaps(to, bytes);  // else an earlier copy would read the poison
    if (poisoned) std::memset(to, host_poison, bytes);
    stream->device->enqueue(stream, named(cudaMemcpyDeviceToHost, bytes), [=] {
        const auto* at = static_cast<const unsigned char*>(to);
        for (std::size_t i = 0; poisoned && i < bytes; ++i)
            if (at[i] != host_poison) {
                report(named(cudaMemcpyDeviceToHost, bytes) +
                       ": the host wrote to the memory before the copy had ended");
                break;
            }
        touch(from, bytes, Access::read);
        std::memcpy(to, from, bytes);
    });
}

void copy_on_device(Stream* stream, void* to, const void* from, std::size_t bytes) {
    stream->device->enqueue(stream, named(cudaMemcpyDeviceToDevice, bytes), [=] {
        touch(from, bytes, Access::read);
        touch(to, bytes, Access::write);
        std::memmove(to, from, bytes);
    });
}

// Whole pages of zeros take no memory.
void set_now(char* to, int value, std::size_t bytes) {
    constexpr std::size_t page_bytes = 4096, worthwhile_bytes = 64 << 10;
    if (value != 0 || bytes < worthwhile_bytes) {
        std::memset(to, value, bytes);
        return;
    }
    const std::size_t head = (page_bytes - reinterpret_cast<std::uintptr_t>(to) % page_bytes) % page_bytes;
    const std::size_t pages = (bytes - head) / page_bytes * page_bytes;
    std::memset(to, 0, head);
    madvise(to + head, pages, MADV_DONTNEED);
    std::memset(to + head + pages, 0, bytes - head - pages);
}

void set(Stream* stream, void* to, int value, std::size_t bytes) {
    stream->device->enqueue(stream, "a memset of " + std::to_string(bytes) + " bytes", [=] {
        touch(to, bytes, Access::write);
        set_now(static_cast<char*>(to), value, bytes);
    });
}

}  // namespace

extern "C" {

// ---- the GPUs ------------------------------------------------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* count) {
    *count = settings().gpus;
    return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= settings().gpus) return cudaErrorInvalidDevice;
    choose_device(device);
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
    *device = chosen_device();
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "virtual GPU");
    properties->uuid.bytes[0] = 'v';
    properties->uuid.bytes[8] = char(device + 1);
    properties->totalGlobalMem = std::size_t(4) << 30;
    properties->multiProcessorCount = 4;  // as in the kernel tests: grids sized for a real GPU would be slow here
    properties->major = 9;
    properties->pciBusID = device + 1;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
    std::snprintf(text, std::size_t(length), "0000:%02x:00.0", unsigned(device + 1));
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    cudaDeviceProp properties;
    cudaGetDeviceProperties(&properties, device);
    switch (attribute) {
        case cudaDevAttrMultiProcessorCount: *value = properties.multiProcessorCount; return cudaSuccess;
        case cudaDevAttrPciBusId: *value = properties.pciBusID; return cudaSuccess;
        case cudaDevAttrPciDeviceId:
        case cudaDevAttrPciDomainId: *value = 0; return cudaSuccess;
        case cudaDevAttrComputeCapabilityMajor: *value = properties.major; return cudaSuccess;
        case cudaDevAttrComputeCapabilityMinor: *value = 0; return cudaSuccess;
        default: return cudaErrorInvalidValue;
    }
}
cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
    *free = std::size_t(settings().free_mib) << 20;
    *total = std::size_t(4) << 30;
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
    current_device().synchronize("cudaDeviceSynchronize");
    return last_state();
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t error) {
    return error == cudaSuccess                 ? "no error"
           : error == cudaErrorMemoryAllocation ? "out of memory"
           : error == cudaErrorNoDevice         ? "no CUDA-capable device is detected"
           : error == cudaErrorLaunchFailure    ? "unspecified launch failure"
                                                : "an error of the virtual GPU";
}
const char* cudaGetErrorName(cudaError_t error) { return cudaGetErrorString(error); }
cudaError_t cudaProfilerStart() { return cudaSuccess; }
cudaError_t cudaProfilerStop() { return cudaSuccess; }

// ---- memory --------------------------------------------------------------------------------------------------------

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
    *memory = current_device().allocate(bytes);
    return *memory != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFree(void* memory) {
    current_device().release(memory);
    return last_state();
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
    *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*memory == MAP_FAILED) return cudaErrorMemoryAllocation;
    const std::lock_guard lock(pinned().mutex);
    pinned().blocks[static_cast<char*>(*memory)] = bytes;
    return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) { return cudaHostAlloc(memory, bytes, 0); }
cudaError_t cudaFreeHost(void* memory) {
    if (memory == nullptr) return cudaSuccess;
    current_device().synchronize("cudaFreeHost");
    const std::lock_guard lock(pinned().mutex);
    const auto found = pinned().blocks.find(static_cast<char*>(memory));
    if (found == pinned().blocks.end()) return cudaErrorInvalidValue;
    munmap(memory, found->second);
    pinned().blocks.erase(found);
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
    set(stream_of(stream), to, value, bytes);
    return last_state();
}
cudaError_t cudaMemset(void* to, int value, std::size_t bytes) { return cudaMemsetAsync(to, value, bytes, nullptr); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    Stream* const on = stream_of(stream);
    if (kind == cudaMemcpyDefault)
        kind = !on->device->owns(from) ? cudaMemcpyHostToDevice
               : on->device->owns(to)  ? cudaMemcpyDeviceToDevice
                                       : cudaMemcpyDeviceToHost;
    switch (kind) {
        case cudaMemcpyHostToDevice: copy_from_host(on, to, from, bytes); break;
        case cudaMemcpyDeviceToHost: copy_to_host(on, to, from, bytes); break;
        default: copy_on_device(on, to, from, bytes); break;
    }
    // A copy of memory that is not pinned uses a buffer of the driver, and the host waits for it.
    if (kind == cudaMemcpyDeviceToHost && !pinned().has(to))
        on->device->synchronize(on, "cudaMemcpyAsync to memory that is not pinned");
    if (kind == cudaMemcpyHostToDevice && !pinned().has(from))
        on->device->synchronize(on, "cudaMemcpyAsync from memory that is not pinned");
    return last_state();
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
    Stream* const legacy = current_device().legacy_stream();
    legacy->device->synchronize(legacy, "cudaMemcpy");
    return error;
}

// ---- streams and events -------------------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    *stream = reinterpret_cast<cudaStream_t>(current_device().create_stream());
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
    return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    Stream* const on = stream_of(stream);
    on->device->destroy_stream(on);
    return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
    Stream* const on = stream_of(stream);
    if (!on->device->finished(on)) return cudaErrorNotReady;
    return last_state();
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    Stream* const on = stream_of(stream);
    on->device->synchronize(on, "cudaStreamSynchronize");
    return last_state();
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    Stream* const on = stream_of(stream);
    on->device->wait(on, event_of(event));
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    *event = reinterpret_cast<cudaEvent_t>(new Event{.device = &current_device(), .last = nullptr});
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete &event_of(event);
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    Stream* const on = stream_of(stream);
    on->device->record(on, event_of(event));
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    if (!event_of(event).device->finished(event_of(event))) return cudaErrorNotReady;
    return last_state();
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    event_of(event).device->synchronize(event_of(event));
    return last_state();
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
    const auto& from = event_of(begin).last;
    const auto& to = event_of(end).last;
    if (!from || !to || !from->reached || !to->reached) return cudaErrorNotReady;
    *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
    return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
    Stream* const on = stream_of(stream);
    on->device->enqueue(on, "a function of the host", [=] { function(data); });
    return cudaSuccess;
}

}  // extern "C"
