// Times cuBLASLt's proposals for a product, on a GPU that has no other work yet.
#include "kernels/cuda/check.hpp"
#include "kernels/cuda/fastest.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/matmul_impl.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <memory>
#include <random>

namespace gpas::cuda {
namespace {

constexpr int most_proposals = 24;

// GPU time between two points of a stream, in milliseconds.
class Timer {
public:
    Timer() {
        check(cudaEventCreate(&begin_), "cudaEventCreate");
        check(cudaEventCreate(&end_), "cudaEventCreate");
    }
    ~Timer() {
        cudaEventDestroy(begin_);
        cudaEventDestroy(end_);
    }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    void start(cudaStream_t stream) { check(cudaEventRecord(begin_, stream), "cudaEventRecord"); }
    float stop(cudaStream_t stream) {
        check(cudaEventRecord(end_, stream), "cudaEventRecord");
        check(cudaEventSynchronize(end_), "cudaEventSynchronize");
        float milliseconds = 0.0F;
        check(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
        return milliseconds;
    }

private:
    cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

class DeviceMemory {
public:
    explicit DeviceMemory(std::int64_t bytes) : data_(bytes > 0 ? allocate(bytes) : nullptr), bytes_(bytes) {}
    ~DeviceMemory() {
        if (data_ != nullptr) release(data_);
    }
    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;
    char* data() const { return static_cast<char*>(data_); }
    std::int64_t bytes() const { return bytes_; }

private:
    void* data_;
    std::int64_t bytes_;
};

std::int64_t l2_bytes() {
    int device = 0;
    cudaDeviceProp properties;
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    return properties.l2CacheSize;
}

template <class T>
void fill_pattern(std::vector<T>& values) {
    std::minstd_rand generator(1);
    std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
    for (T& value : values) value = T(uniform(generator));
}

// Random numbers, because a GPU uses less power on zeros and would clock higher than in training.
template <class T>
void fill_random(Gpu& gpu, const DeviceMemory& memory) {
    std::vector<T> values(std::size_t(1) << 18);
    fill_pattern(values);
    const std::int64_t pattern = std::min(memory.bytes(), std::int64_t(values.size() * sizeof(T)));
    gpu.copy_to_device(memory.data(), values.data(), pattern);
    for (std::int64_t done = pattern; done < memory.bytes(); done *= 2)
        gpu.copy_on_device(memory.data() + done, memory.data(), std::min(done, memory.bytes() - done));
}

void fill_operand(Gpu& gpu, const DeviceMemory& memory, Dtype dtype) {
    dtype == Dtype::bf16 ? fill_random<bf16>(gpu, memory) : fill_random<float>(gpu, memory);
}

MatmulChoice fastest_matmul(MatmulPlans::Impl& plans, Gpu& gpu, Timer& timer, const DeviceMemory& flush,
                            const MatmulKey& key) {
    const CublasLtProduct product(plans.blas, key);
    const auto algorithms = proposals(plans.blas, plans.handle, key, product, most_proposals);
    const std::int64_t in = bytes_per_element(key.operand_dtype());
    const DeviceMemory a(key.sizes[0] * key.sizes[1] * in), b(key.sizes[2] * key.sizes[3] * in);
    const DeviceMemory d(key.rows() * key.columns() * bytes_per_element(key.result_dtype()));
    fill_operand(gpu, a, key.operand_dtype());
    fill_operand(gpu, b, key.operand_dtype());
    const auto stream = static_cast<cudaStream_t>(gpu.stream());
    const auto fastest = fastest_candidate(algorithms.size(), [&](std::size_t i) -> std::optional<float> {
        if (flush.bytes() > 0) gpu.set_bytes(flush.data(), 0, flush.bytes());
        timer.start(stream);
        if (enqueue(plans.blas, plans.handle, product, algorithms[i], a.data(), b.data(), d.data(), plans.workspace,
                    stream) != CUBLAS_STATUS_SUCCESS)
            return std::nullopt;
        return timer.stop(stream);
    });
    gpu.synchronize();  // if the last enqueue failed, the flush may still be running
    return choice_of(algorithms[fastest.value_or(0)]);
}

}  // namespace

std::vector<MatmulChoice> fastest_matmuls(Context& context, std::span<const MatmulKey> products) {
    if (products.empty()) return {};
    Gpu& gpu = context.gpu();
    Timer timer;
    const DeviceMemory flush(2 * l2_bytes());
    std::vector<MatmulChoice> choices;
    choices.reserve(products.size());
    for (const MatmulKey& key : products)
        choices.push_back(fastest_matmul(gpu.matmul_plans().impl(), gpu, timer, flush, key));
    return choices;
}

}  // namespace gpas::cuda
