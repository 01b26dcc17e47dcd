#include "kernels/cuda/gpu.hpp"

#include "base/error.hpp"
#include "kernels/cuda/check.hpp"
#include "kernels/cuda/matmul_plans.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <utility>

namespace gpas::cuda {
namespace {

constexpr int most_connections = 32;  // the largest value that CUDA accepts

// Staging buffer for copies between pageable host memory and the GPU.
class PinnedBuffer {
public:
    static constexpr std::int64_t size_bytes = 4 << 20;
    PinnedBuffer() : memory_(allocate_pinned(size_bytes)) {}
    ~PinnedBuffer() { release_pinned(memory_); }
    PinnedBuffer(const PinnedBuffer&) = delete;
    PinnedBuffer& operator=(const PinnedBuffer&) = delete;
    void* data() const { return memory_; }

private:
    void* memory_;
};

}  // namespace

bool built() { return true; }

void prepare_environment() {
    setenv("CUDA_DEVICE_MAX_CONNECTIONS", std::to_string(most_connections).c_str(), 0);
    setenv("CUDA_MODULE_LOADING", "EAGER", 0);
    setenv("NCCL_RUNTIME_CONNECT", "0", 0);
}

std::string environment_warning(int streams) {
    const auto value_of = [](const char* name) {
        const char* text = std::getenv(name);
        return std::string(text != nullptr ? text : "");
    };
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
    const std::string connections = value_of("CUDA_DEVICE_MAX_CONNECTIONS");
    if (const int count = connections.empty() ? 8 : std::atoi(connections.c_str()); count < streams)
        add(
            fmt::format("CUDA_DEVICE_MAX_CONNECTIONS is {}, fewer than the {} streams of a rank, so that one holds up "
                        "another: leave it unset, or set {}",
                        count, streams, most_connections));
    if (value_of("CUDA_MODULE_LOADING") == "LAZY")
        add("CUDA_MODULE_LOADING is LAZY: a kernel that is loaded while groups talk waits for them: leave it unset, or "
            "set EAGER");
    return text;
}

int device_count(std::string* why_none) {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count > 0) return count;
    if (why_none != nullptr) *why_none = error == cudaSuccess ? "no CUDA device" : cudaGetErrorString(error);
    cudaGetLastError();  // clears the error; the next check() would report it otherwise
    return 0;
}

void choose_device(int index) {
    check(cudaSetDevice(index), "cudaSetDevice");
    check(cudaFree(nullptr), "the start of CUDA");  // initialises CUDA now, and not during the first step
}

namespace {

cudaDeviceProp properties() {
    int device = 0;
    cudaDeviceProp found;
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaGetDeviceProperties(&found, device), "cudaGetDeviceProperties");
    return found;
}

}  // namespace

std::string device_name() { return properties().name; }
int chosen_device() {
    int device = 0;
    check(cudaGetDevice(&device), "cudaGetDevice");
    return device;
}
std::string pci_bus_id(int index) {
    std::array<char, 32> text{};
    check(cudaDeviceGetPCIBusId(text.data(), int(text.size()), index), "cudaDeviceGetPCIBusId");
    std::string id = text.data();
    for (char& c : id) c = char(std::tolower(static_cast<unsigned char>(c)));  // as Linux writes it in /sys
    return id;
}
std::int64_t device_memory_bytes() { return std::int64_t(properties().totalGlobalMem); }
std::int64_t free_memory_bytes() {
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    return std::int64_t(free);
}

namespace {

void check_allocation(cudaError_t error, const char* call, const char* which, const char* advice, std::int64_t bytes) {
    if (error != cudaErrorMemoryAllocation) return check(error, call);
    cudaGetLastError();  // clears the error; the next check() would report it otherwise
    fail(ExitCode::environment, "{} is short: {} cannot allocate {:.2f} GiB; {}", which, call,
         double(bytes) / double(std::int64_t(1) << 30), advice);
}

}  // namespace

void* allocate(std::int64_t bytes) {
    void* memory = nullptr;
    check_allocation(cudaMalloc(&memory, std::size_t(bytes)), "cudaMalloc", "GPU memory",
                     "use a smaller micro-batch, recompute, or more ranks, and see who else uses this GPU", bytes);
    check(cudaMemset(memory, 0, std::size_t(bytes)), "cudaMemset");
    check(cudaDeviceSynchronize(), "cudaMemset");
    return memory;
}

namespace {

// While an exception unwinds the stack, memory is not freed. cudaFree waits until the GPU is idle, and the GPU never is
// if a collective waits for a lost rank. The process ends soon, and the driver then frees its memory.
bool ends_with_an_error() { return std::uncaught_exceptions() > 0; }

}  // namespace

void release(void* memory) noexcept {
    if (!ends_with_an_error()) cudaFree(memory);
}

void* allocate_pinned(std::int64_t bytes) {
    void* memory = nullptr;
    check_allocation(cudaMallocHost(&memory, std::size_t(bytes)), "cudaMallocHost", "pinned host memory",
                     "lower checkpoint.buffer_gib, or raise the limit of locked memory (ulimit -l) or of the cgroup",
                     bytes);
    return memory;
}
void release_pinned(void* memory) noexcept {
    if (!ends_with_an_error()) cudaFreeHost(memory);
}

struct Gpu::Impl {
    Impl() { check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate"); }
    ~Impl() { cudaStreamDestroy(stream); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    cudaStream_t stream = nullptr;
    std::map<const void*, std::function<void(double)>> watchers;
    std::int64_t waits = 0;
    PinnedBuffer pinned;
    MatmulPlans matmul_plans;
    int multiprocessors = properties().multiProcessorCount;
};

Gpu::Gpu() : impl_(std::make_unique<Impl>()) {}
Gpu::~Gpu() = default;

void* Gpu::stream() const { return impl_->stream; }
int Gpu::multiprocessors() const { return impl_->multiprocessors; }
MatmulPlans& Gpu::matmul_plans() { return impl_->matmul_plans; }

std::int64_t Gpu::waits() const { return impl_->waits; }

// Polls the stream as cudaStreamSynchronize does, but a watcher can end the wait by throwing.
void Gpu::synchronize() {
    wait_until([this] {
        const cudaError_t state = cudaStreamQuery(impl_->stream);
        if (state != cudaErrorNotReady) check(state, "work on the GPU");
        return state == cudaSuccess;
    });
}

void Gpu::wait_until(const std::function<bool()>& done) {
    ++impl_->waits;
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds between_looks(100);
    const Clock::time_point start = Clock::now();
    Clock::time_point next_look = start + between_looks;
    for (bool over = false; !over;) {
        over = done();
        const Clock::time_point now = Clock::now();
        if (!over && now < next_look) continue;
        next_look = now + between_looks;
        for (const auto& [owner, watcher] : impl_->watchers)
            watcher(std::chrono::duration<double>(now - start).count());
    }
}

void Gpu::add_watcher(const void* owner, std::function<void(double)> watcher) {
    impl_->watchers[owner] = std::move(watcher);
}
void Gpu::remove_watcher(const void* owner) { impl_->watchers.erase(owner); }

void Gpu::copy_to_pinned(void* to, const void* from, std::int64_t bytes) {
    check(cudaMemcpyAsync(to, from, std::size_t(bytes), cudaMemcpyDeviceToHost, impl_->stream),
          "cudaMemcpyAsync to the host");
}
void Gpu::copy_from_pinned(void* to, const void* from, std::int64_t bytes) {
    check(cudaMemcpyAsync(to, from, std::size_t(bytes), cudaMemcpyHostToDevice, impl_->stream),
          "cudaMemcpyAsync to the device");
}

// Copies go through the pinned buffer, in pieces of its size.
void Gpu::copy_to_host(void* to, const void* from, std::int64_t bytes) {
    for (std::int64_t done = 0; done < bytes; done += PinnedBuffer::size_bytes) {
        const auto size = std::size_t(std::min(PinnedBuffer::size_bytes, bytes - done));
        copy_to_pinned(impl_->pinned.data(), static_cast<const char*>(from) + done, std::int64_t(size));
        synchronize();
        std::memcpy(static_cast<char*>(to) + done, impl_->pinned.data(), size);
    }
}

void Gpu::copy_to_device(void* to, const void* from, std::int64_t bytes) {
    for (std::int64_t done = 0; done < bytes; done += PinnedBuffer::size_bytes) {
        const auto size = std::size_t(std::min(PinnedBuffer::size_bytes, bytes - done));
        synchronize();  // until the previous piece has left the buffer
        std::memcpy(impl_->pinned.data(), static_cast<const char*>(from) + done, size);
        copy_from_pinned(static_cast<char*>(to) + done, impl_->pinned.data(), std::int64_t(size));
    }
}

void Gpu::copy_on_device(void* to, const void* from, std::int64_t bytes) {
    check(cudaMemcpyAsync(to, from, std::size_t(bytes), cudaMemcpyDeviceToDevice, impl_->stream),
          "cudaMemcpyAsync on the device");
}

void Gpu::set_bytes(void* to, int value, std::int64_t bytes) {
    check(cudaMemsetAsync(to, value, std::size_t(bytes), impl_->stream), "cudaMemsetAsync");
}

struct Mark::Impl {
    explicit Impl(std::shared_ptr<Gpu> of) : gpu(std::move(of)) {
        check(cudaEventCreateWithFlags(&event, cudaEventDefault), "cudaEventCreate");
    }
    ~Impl() { cudaEventDestroy(event); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    std::shared_ptr<Gpu> gpu;
    cudaEvent_t event = nullptr;
};

Mark::Mark(std::shared_ptr<Gpu> gpu) : impl_(std::make_unique<Impl>(std::move(gpu))) {}
Mark::~Mark() = default;

void Mark::set() {
    check(cudaEventRecord(impl_->event, static_cast<cudaStream_t>(impl_->gpu->stream())), "cudaEventRecord");
}
bool Mark::reached() const {
    const cudaError_t state = cudaEventQuery(impl_->event);
    if (state != cudaErrorNotReady) check(state, "work on the GPU");
    return state == cudaSuccess;
}
void Mark::wait() {
    if (!reached()) impl_->gpu->wait_until([this] { return reached(); });
}
double Mark::seconds_between(const Mark& from, const Mark& to) {
    float milliseconds = 0.0F;
    check(cudaEventElapsedTime(&milliseconds, from.impl_->event, to.impl_->event), "cudaEventElapsedTime");
    return 1e-3 * double(milliseconds);
}

}  // namespace gpas::cuda
