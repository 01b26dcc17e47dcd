// Tests that the virtual NCCL follows NCCL's rules: calls that NVIDIA documents as errors are errors, calls that hang
// with NCCL hang here, and the cycle of waiting operations is reported. Ranks are threads, each with its own GPU.
#include "tests/virtual_gpu/findings.hpp"
#include "tests/virtual_gpu/settings.hpp"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include <barrier>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace gpas::virtual_gpu {
namespace {

constexpr std::size_t count = 1024;

bool within(double seconds, const std::function<bool()>& done) {
    const auto start = std::chrono::steady_clock::now();
    while (!done()) {
        if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > seconds) return false;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return true;
}

// One rank: two communicators over all ranks, and a stream and memory for each of them.
struct Rank {
    int rank = 0;
    std::barrier<>* all = nullptr;
    ncclComm_t comms[2] = {};
    cudaStream_t streams[2] = {};
    void* memory[2] = {};

    bool ready(int which) {
        ncclResult_t state = ncclInProgress;
        ncclCommGetAsyncError(comms[which], &state);
        return state != ncclInProgress;
    }
    bool all_reduce(int which, std::size_t elements = count) {
        ncclAllReduce(memory[which], memory[which], elements, ncclFloat32, ncclSum, comms[which], streams[which]);
        return within(5.0, [&] { return ready(which); });
    }
    bool ends(int which, double seconds) {
        return within(seconds, [&] { return cudaStreamQuery(streams[which]) == cudaSuccess; });
    }
    void abort() {
        for (ncclComm_t comm : comms) ncclCommAbort(comm);
    }
    // An abort ends the calls of the other ranks, too: no rank aborts before all of them have looked at theirs.
    void abort_together() {
        all->arrive_and_wait();
        abort();
    }
    void finish() {
        for (ncclComm_t comm : comms) ncclCommFinalize(comm);
        for (int which : {0, 1}) within(10.0, [&] { return ready(which); });
        for (ncclComm_t comm : comms) ncclCommDestroy(comm);
    }
};

class NcclRules : public testing::Test {
protected:
    void SetUp() override {
        Settings settings;
        settings.scheduler = Scheduler::earliest;
        settings.lazy_modules = false;
        settings.queues = 32;
        settings.hang_seconds = 0.5;
        change(settings);
    }
    void TearDown() override {
        take_findings();
        forget_devices();
    }
    static void change(const Settings& settings) {
        forget_devices();
        use(settings);
    }
    static Settings with(const std::function<void(Settings&)>& edit) {
        Settings changed = settings();
        edit(changed);
        return changed;
    }

    // same_gpu: all ranks use GPU 0. Returns rank 0's result of the communicators' start.
    static ncclResult_t run(int ranks, const std::function<void(Rank&)>& body, int blocks = 2, bool same_gpu = false) {
        ncclUniqueId ids[2];
        for (ncclUniqueId& id : ids) ncclGetUniqueId(&id);
        ncclResult_t started = ncclSuccess;
        std::barrier all(ranks);
        std::vector<std::thread> threads;
        for (int rank = 0; rank < ranks; ++rank)
            threads.emplace_back([&, rank] {
                cudaSetDevice(same_gpu ? 0 : rank);
                Rank mine;
                mine.rank = rank;
                mine.all = &all;
                for (int which : {0, 1}) {
                    cudaStreamCreateWithFlags(&mine.streams[which], cudaStreamNonBlocking);
                    cudaMalloc(&mine.memory[which], count * sizeof(float));
                    cudaMemset(mine.memory[which], 0, count * sizeof(float));
                    cudaDeviceSynchronize();
                    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
                    config.blocking = 0;
                    config.maxCTAs = blocks;
                    ncclCommInitRankConfig(&mine.comms[which], ranks, ids[which], rank, &config);
                    within(10.0, [&] { return mine.ready(which); });
                    if (rank == 0) ncclCommGetAsyncError(mine.comms[which], &started);
                }
                body(mine);
            });
        for (std::thread& thread : threads) thread.join();
        return started;
    }
    static std::string found() {
        std::string all;
        for (const std::string& finding : take_findings()) all += finding + "\n";
        return all;
    }
};

TEST_F(NcclRules, calls_in_one_order_end) {
    run(3, [](Rank& rank) {
        for (int which : {0, 1, 0}) EXPECT_TRUE(rank.all_reduce(which));
        for (int which : {0, 1}) EXPECT_TRUE(rank.ends(which, 20.0));
        rank.finish();
    });
    EXPECT_EQ(found(), "");
}

TEST_F(NcclRules, other_counts_hang_and_are_named) {
    run(2, [](Rank& rank) {
        rank.all_reduce(0, rank.rank == 0 ? count : count - 1);
        EXPECT_FALSE(rank.ends(0, 1.0));
        rank.abort_together();
    });
    EXPECT_NE(found().find("all_reduce of 1023 elements"), std::string::npos);
}

// The ranks call two communicators in different orders, and the GPU has too few multiprocessors for both.
TEST_F(NcclRules, other_orders_hang_without_room_for_all_and_the_ring_is_named) {
    change(with([](Settings& settings) { settings.multiprocessors = 3; }));
    run(2, [](Rank& rank) {
        for (int which : {0, 1}) rank.all_reduce(which);  // connects
        for (int which : {0, 1}) EXPECT_TRUE(rank.ends(which, 20.0));
        const int first = rank.rank;
        rank.all_reduce(first);
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        rank.all_reduce(1 - first);
        EXPECT_FALSE(rank.ends(first, 2.5));
        rank.abort_together();
    });
    const std::string all = found();
    EXPECT_NE(all.find("deadlock"), std::string::npos) << all;
    EXPECT_NE(all.find("without a free multiprocessor"), std::string::npos) << all;
}

TEST_F(NcclRules, other_orders_hang_in_one_hardware_queue_and_the_ring_is_named) {
    change(with([](Settings& settings) { settings.queues = 1; }));
    run(2, [](Rank& rank) {
        for (int which : {0, 1}) rank.all_reduce(which);
        for (int which : {0, 1}) EXPECT_TRUE(rank.ends(which, 20.0));
        // The second call waits in the hardware queue for the first of its stream, and blocks the other stream behind
        // it.
        const int first = rank.rank;
        rank.all_reduce(first);
        rank.all_reduce(first);
        rank.all_reduce(1 - first);
        rank.all_reduce(1 - first);
        EXPECT_FALSE(rank.ends(first, 2.5));
        rank.abort_together();
    });
    EXPECT_NE(found().find("later in its hardware queue"), std::string::npos);
}

TEST_F(NcclRules, hosts_that_connect_in_other_orders_hang_from_version_22_on) {
    for (const int version : {21805, 23203}) {
        change(with([&](Settings& settings) { settings.nccl_version = version; }));
        run(2, [&](Rank& rank) {
            const int first = rank.rank;
            ncclAllReduce(rank.memory[first], rank.memory[first], count, ncclFloat32, ncclSum, rank.comms[first],
                          rank.streams[first]);
            EXPECT_EQ(within(2.0, [&] { return rank.ready(first); }), version < 22200);
            if (version < 22200) {
                rank.all_reduce(1 - first);
                EXPECT_TRUE(rank.ends(first, 20.0));
                rank.finish();
            } else {
                rank.abort();
            }
        });
        EXPECT_EQ(found().find("deadlock") != std::string::npos, version >= 22200);
    }
}

TEST_F(NcclRules, a_call_while_another_connects_is_an_error) {
    run(2, [](Rank& rank) {
        if (rank.rank == 0) {
            const auto call = [&] {
                return ncclSend(rank.memory[0], count, ncclFloat32, 1, rank.comms[0], rank.streams[0]);
            };
            EXPECT_EQ(call(), ncclInProgress);
            EXPECT_EQ(call(), ncclInvalidUsage);
        }
        rank.abort();
    });
    EXPECT_NE(found().find("ncclInProgress"), std::string::npos);
}

TEST_F(NcclRules, freeing_before_an_abort_is_named_and_ends_with_it) {
    run(2, [](Rank& rank) {
        rank.all_reduce(0);
        EXPECT_TRUE(rank.ends(0, 20.0));
        if (rank.rank == 1) return rank.abort();
        rank.all_reduce(0);
        std::thread later([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
            rank.abort();
        });
        cudaFree(rank.memory[1]);
        later.join();
    });
    EXPECT_NE(found().find("cudaFree while NCCL all_reduce"), std::string::npos);
}

TEST_F(NcclRules, ranks_share_a_gpu_from_version_30_on_if_asked_to) {
    for (const int version : {22809, 23203})
        for (const bool asked : {false, true}) {
            change(with([&](Settings& settings) {
                settings.nccl_version = version;
                settings.multi_rank_gpu = asked;
            }));
            const ncclResult_t started = run(2, [](Rank& rank) { rank.abort(); }, 2, true);
            EXPECT_EQ(started == ncclSuccess, version >= 23000 && asked) << version << " " << asked;
        }
}

}  // namespace
}  // namespace gpas::virtual_gpu
