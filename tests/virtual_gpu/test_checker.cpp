// Tests each rule of the virtual GPUs with the smallest program that keeps the rule, and the smallest that violates it.
#include "tests/virtual_gpu/device.hpp"
#include "tests/virtual_gpu/findings.hpp"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace gpas::virtual_gpu {
namespace {

class Checker : public testing::TestWithParam<Scheduler> {
protected:
    static constexpr std::size_t bytes = 4096;

    Checker() {
        use({.scheduler = GetParam(), .lazy_modules = false});
        cudaSetDevice(0);
        for (cudaStream_t* stream : {&first, &second}) cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking);
        cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
        cudaMalloc(&x, bytes);
        cudaMalloc(&y, bytes);
        cudaMallocHost(&host, bytes);
        std::memset(host, 0, bytes);
    }
    ~Checker() override {
        cudaDeviceSynchronize();
        cudaFreeHost(host);
        cudaEventDestroy(event);
        take_findings();
        forget_devices();
    }
    void set(void* memory, cudaStream_t stream, int value = 1) { cudaMemsetAsync(memory, value, bytes, stream); }
    void copy(void* to, const void* from, cudaStream_t stream) {
        cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
    }
    void order() {
        cudaEventRecord(event, first);
        cudaStreamWaitEvent(second, event, 0);
    }
    static std::string found() {
        cudaDeviceSynchronize();
        std::string all;
        for (const std::string& finding : take_findings()) all += finding + "\n";
        return all;
    }

    cudaStream_t first = nullptr, second = nullptr;
    cudaEvent_t event = nullptr;
    void* x = nullptr;
    void* y = nullptr;
    void* host = nullptr;
};

TEST_P(Checker, takes_a_stream_for_an_order) {
    set(x, first);
    copy(y, x, first);
    EXPECT_EQ(found(), "");
}

TEST_P(Checker, finds_a_read_that_nothing_orders_after_the_write) {
    set(y, second);
    cudaDeviceSynchronize();
    set(x, first);
    copy(y, x, second);
    EXPECT_NE(found().find("nothing orders"), std::string::npos);
}

TEST_P(Checker, takes_an_event_for_an_order) {
    set(x, first);
    order();
    copy(y, x, second);
    EXPECT_EQ(found(), "");
}

TEST_P(Checker, takes_an_event_for_no_more_than_what_came_before_it) {
    order();
    set(x, first);
    copy(y, x, second);
    EXPECT_NE(found(), "");
}

TEST_P(Checker, takes_a_wait_of_the_host_for_an_order) {
    set(x, first);
    cudaStreamSynchronize(first);
    copy(y, x, second);
    EXPECT_EQ(found(), "");
}

TEST_P(Checker, finds_two_writes_that_nothing_orders) {
    set(x, first);
    set(x, second, 2);
    EXPECT_NE(found().find("writes what is also written by"), std::string::npos);
}

TEST_P(Checker, finds_a_write_that_nothing_orders_after_the_read) {
    set(x, first);
    order();
    copy(y, x, second);
    set(x, first, 2);
    const std::string all = found();
    EXPECT_NE(all.find("nothing orders"), std::string::npos) << all;
    EXPECT_NE(all.find("a copy on the GPU of 4096 bytes"), std::string::npos) << all;
    EXPECT_NE(all.find("a memset of 4096 bytes"), std::string::npos) << all;
}

TEST_P(Checker, does_not_mind_two_reads_that_nothing_orders) {
    void* z = nullptr;
    cudaMalloc(&z, bytes);
    set(x, first);
    cudaDeviceSynchronize();
    copy(y, x, first);
    copy(z, x, second);
    EXPECT_EQ(found(), "");
}

TEST_P(Checker, tells_neighbours_apart) {
    auto* const begin = static_cast<char*>(x);
    cudaMemsetAsync(begin, 1, 2, first);
    cudaMemsetAsync(begin + 2, 1, 2, second);
    EXPECT_EQ(found(), "");
    cudaMemsetAsync(begin, 1, 4, first);
    cudaMemsetAsync(begin + 2, 1, 2, second);
    EXPECT_NE(found(), "");
}

TEST_P(Checker, finds_a_read_of_what_nothing_has_written) {
    copy(y, x, first);
    EXPECT_NE(found().find("reads memory that nothing has written"), std::string::npos);
}

TEST_P(Checker, finds_a_use_after_the_end) {
    cudaFree(x);
    set(x, first);
    EXPECT_NE(found().find("memory that is not allocated"), std::string::npos);
}

TEST_P(Checker, finds_memory_that_is_freed_twice) {
    cudaFree(x);
    cudaFree(x);
    EXPECT_NE(found().find("cudaFree of memory that is not allocated"), std::string::npos);
}

TEST_P(Checker, gives_what_a_copy_to_the_host_has_brought_when_it_has_been_waited_for) {
    set(x, first, 3);
    cudaMemcpyAsync(host, x, bytes, cudaMemcpyDeviceToHost, first);
    cudaStreamSynchronize(first);
    EXPECT_EQ(static_cast<char*>(host)[bytes - 1], 3);
    EXPECT_EQ(found(), "");
}

TEST_P(Checker, starts_with_poison_where_a_copy_to_the_host_will_write) {
    if (GetParam() != Scheduler::latest) GTEST_SKIP() << "the copy may have taken place";
    set(x, first, 3);
    cudaMemcpyAsync(host, x, bytes, cudaMemcpyDeviceToHost, first);
    EXPECT_EQ(static_cast<unsigned char*>(host)[0], 0xff);
}

TEST_P(Checker, finds_a_host_that_writes_before_its_copy_has_ended) {
    if (GetParam() != Scheduler::latest) GTEST_SKIP() << "the copy may have taken place";
    cudaMemcpyAsync(x, host, bytes, cudaMemcpyHostToDevice, first);
    static_cast<char*>(host)[7] = 1;
    EXPECT_NE(found().find("the host wrote to the memory before the copy had ended"), std::string::npos);
}

using CheckerDeathTest = Checker;
TEST_P(CheckerDeathTest, ends_a_host_that_touches_memory_of_the_gpu) {
    set(x, first, 3);
    cudaDeviceSynchronize();
    EXPECT_DEATH(std::memset(x, 0, 1), "");
}

TEST_P(Checker, has_no_room_for_more_launches_than_the_queue_holds) {
    for (int i = 0; i < 3000; ++i) set(x, first);
    EXPECT_EQ(found(), "");
}

INSTANTIATE_TEST_SUITE_P(schedulers, Checker,
                         testing::Values(Scheduler::earliest, Scheduler::latest, Scheduler::random));
INSTANTIATE_TEST_SUITE_P(schedulers, CheckerDeathTest, testing::Values(Scheduler::earliest));

}  // namespace
}  // namespace gpas::virtual_gpu
