// Ranks as threads. This program is built with ThreadSanitizer.
#include "base/error.hpp"
#include "tests/support/thread_communicator.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

namespace gpas {
namespace {

template <class T>
Tensor view(std::vector<T>& values) {
    return Tensor(values.data(), dtype_of<T>, {std::int64_t(values.size())});
}

template <class T>
void check_collectives(Communicator& group) {
    const int ranks = group.size();
    for (const std::size_t share : {0, 1, 5, 1000}) {
        std::vector<T> whole(share * std::size_t(ranks)), part(share), gathered(whole.size());
        for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = T(float((group.rank() + 1) * int(i % 5 + 1)));
        const auto sum = [&](std::size_t i) { return float(ranks * (ranks + 1) / 2 * int(i % 5 + 1)); };
        group.reduce_scatter(view(part), view(whole), "part");
        group.all_gather(view(gathered), view(part), "parts");
        group.start_all_reduce(view(whole), ReduceOp::sum, "whole")->wait();
        for (std::size_t i = 0; i < whole.size(); ++i) {
            ASSERT_EQ(float(gathered[i]), sum(i));
            ASSERT_EQ(float(whole[i]), sum(i));
        }
    }
}

TEST(Threads, collectives_of_every_number_of_ranks) {
    for (int ranks = 1; ranks <= 8; ++ranks)
        run_as_threads(ranks, [&](Communicator& world) {
            check_collectives<float>(world);
            check_collectives<bf16>(world);
            std::int64_t most = (std::int64_t(1) << 40) + world.rank();
            world.all_reduce(&most, 1, ReduceOp::max, "most");
            EXPECT_EQ(most, (std::int64_t(1) << 40) + ranks - 1);
            std::string text = world.rank() == ranks - 1 ? "from the last" : "";
            broadcast(world, text, ranks - 1, "text");
            EXPECT_EQ(text, "from the last");
        });
}

TEST(Threads, groups_of_groups) {
    run_as_threads(8, [](Communicator& world) {
        const auto half = world.split(world.rank() % 2, -world.rank(), "half");
        EXPECT_EQ(half->size(), 4);
        EXPECT_EQ(half->rank(), 3 - world.rank() / 2);
        const auto again = half->duplicate();
        check_collectives<float>(*again);
        const auto pair = again->split(again->rank() / 2, 0, "pair");
        check_collectives<float>(*pair);
        world.barrier("the end");
    });
}

TEST(Threads, messages_keep_their_order_in_both_directions_at_once) {
    run_as_threads(4, [](Communicator& world) {
        const int next = (world.rank() + 1) % 4, before = (world.rank() + 3) % 4;
        for (int round = 0; round < 50; ++round) {
            std::vector<float> a(10, float(100 * world.rank() + round)), b(7, -1.0F), from(10), back(7);
            auto receive = world.start_receive(view(from), before, "forward");
            auto send = world.start_send(view(a), next, "forward");
            auto receive_back = world.start_receive(view(back), next, "backward");
            auto send_back = world.start_send(view(b), before, "backward");
            receive_back->wait();
            receive->wait();
            send->wait();
            send_back->wait();
            ASSERT_EQ(from[9], float(100 * before + round));
            ASSERT_EQ(back[6], -1.0F);
        }
    });
}

std::string message_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

TEST(Threads, different_calls_are_an_error_on_every_rank) {
    std::atomic<int> told = 0;
    EXPECT_THROW(run_as_threads(3,
                                [&](Communicator& world) {
                                    std::vector<float> values(world.rank() == 1 ? 900 : 1000);
                                    const std::string text =
                                        message_of([&] { world.all_reduce(view(values), ReduceOp::sum, "gradients"); });
                                    if (text.find("rank 1 of the group calls all_reduce of gradients over world "
                                                  "(fp32[900])") != std::string::npos)
                                        ++told;
                                    fail(ExitCode::internal, "{}", text);
                                }),
                 Error);
    EXPECT_EQ(told, 3);
}

TEST(Threads, a_rank_that_does_not_come_is_named) {
    std::mutex lock;
    std::vector<std::string> reports;
    run_as_threads(3, [&](Communicator& world) {
        world.waits().timeout_seconds = 0.2;
        world.progress().set_place(4, 1);
        if (world.rank() == 1) return;
        const std::string text = message_of([&] { world.barrier("a checkpoint"); });
        const std::scoped_lock guard(lock);
        reports.push_back(text);
    });
    ASSERT_EQ(reports.size(), 2U);
    for (const std::string& report : reports) {
        EXPECT_NE(report.find("barrier of a checkpoint over world (step 4, micro-batch 1)"), std::string::npos);
        EXPECT_NE(report.find("no answer from rank 1"), std::string::npos) << report;
    }
}

TEST(Threads, a_message_of_another_size_is_refused) {
    EXPECT_THROW(run_as_threads(2,
                                [](Communicator& world) {
                                    std::vector<float> five(5), seven(7);
                                    if (world.rank() == 0)
                                        world.start_send(view(five), 1, "five")->wait();
                                    else
                                        world.start_receive(view(seven), 0, "five")->wait();
                                }),
                 Error);
}

TEST(Threads, an_error_of_one_rank_ends_all) {
    EXPECT_THROW(run_as_threads(4,
                                [](Communicator& world) {
                                    if (world.rank() == 2) fail(ExitCode::bad_file, "a bad file");
                                    world.barrier("the others wait");
                                }),
                 Error);
}

// The reader is often at the record that the writer is overwriting: read_calls() begins with the oldest call.
TEST(CallLog, is_read_while_it_is_written_and_no_copy_mixes_two_calls) {
    RankShared rank;
    std::atomic<bool> over = false;
    std::thread writer([&] {
        for (std::int64_t n = 1; n <= 20000; ++n) {
            const std::string number = std::to_string(n);
            rank.progress.set_place(n, 2 * n);
            rank.calls.end(rank.calls.begin(number, number.c_str(), number.c_str(), number));
        }
        over = true;
    });
    std::int64_t right = 0, wrong = 0;
    const auto read = [&] {
        for (const CommCall& call : rank.calls.last()) {
            if (call.what == "long ago") continue;
            const std::string number = std::to_string(call.number);
            const bool same = call.group == number && call.op == number && call.what == number && call.data == number &&
                              call.step == call.number && call.micro_batch == 2 * call.number;
            ++(same ? right : wrong);
        }
    };
    while (!over) read();
    writer.join();
    right = 0;
    read();
    EXPECT_EQ(right, std::int64_t(CallLog::capacity));
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace gpas

// Without MPI, which ThreadSanitizer cannot see into.
int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
