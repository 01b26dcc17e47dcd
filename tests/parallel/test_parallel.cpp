// Groups of ranks. Run alone (one rank) and under mpirun; every rank checks, and any rank's failure fails the program.
#include "base/error.hpp"
#include "parallel/agree.hpp"
#include "parallel/mesh.hpp"
#include "parallel/mpi/mpi_communicator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>
#include <vector>

namespace gpas {
namespace {

std::unique_ptr<Communicator> world() { return MpiCommunicator(MPI_COMM_WORLD).duplicate(); }

template <class T>
Tensor view(std::vector<T>& values) {
    return Tensor(values.data(), dtype_of<T>, {std::int64_t(values.size())});
}

// Small whole numbers, so that sums are exact in every dtype and order.
template <class T>
T value(int rank, std::size_t i) {
    return T(float((rank + 1) * int(i % 5 + 1)));
}

constexpr std::size_t sizes[] = {0, 1, 7, 4099};

template <class T>
void check_all_reduce(Communicator& group) {
    for (const std::size_t size : sizes) {
        std::vector<T> sum(size), largest(size), smallest(size);
        for (std::size_t i = 0; i < size; ++i) sum[i] = largest[i] = smallest[i] = value<T>(group.rank(), i);
        group.all_reduce(view(sum), ReduceOp::sum, "sum");
        group.all_reduce(view(largest), ReduceOp::max, "max");
        group.all_reduce(view(smallest), ReduceOp::min, "min");
        const int ranks = group.size();
        for (std::size_t i = 0; i < size; ++i) {
            EXPECT_EQ(float(sum[i]), float(ranks * (ranks + 1) / 2 * int(i % 5 + 1)));
            EXPECT_EQ(float(largest[i]), float(ranks * int(i % 5 + 1)));
            EXPECT_EQ(float(smallest[i]), float(int(i % 5 + 1)));
        }
    }
}

TEST(Communicator, all_reduce_of_every_dtype_and_odd_sizes) {
    for (auto& group : {world(), make_self_communicator()}) {
        check_all_reduce<float>(*group);
        check_all_reduce<bf16>(*group);
        check_all_reduce<std::int32_t>(*group);
        double d = 0.5 + group->rank();
        std::int64_t n = (std::int64_t(1) << 40) + group->rank();
        group->all_reduce(&d, 1, ReduceOp::sum, "double");
        group->all_reduce(&n, 1, ReduceOp::max, "int64");
        EXPECT_EQ(d, 0.5 * group->size() + group->size() * (group->size() - 1) / 2);
        EXPECT_EQ(n, (std::int64_t(1) << 40) + group->size() - 1);
    }
}

template <class T>
void check_scatter_and_gather(Communicator& group) {
    const std::size_t ranks = std::size_t(group.size());
    for (const std::size_t share : sizes) {
        std::vector<T> whole(share * ranks), part(share), gathered(share * ranks);
        for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = value<T>(group.rank(), i);
        group.reduce_scatter(view(part), view(whole), "reduce_scatter");
        group.all_gather(view(gathered), view(part), "all_gather");
        for (std::size_t i = 0; i < whole.size(); ++i)
            EXPECT_EQ(float(gathered[i]), float(int(ranks * (ranks + 1) / 2) * int(i % 5 + 1)));
    }
}

TEST(Communicator, gather_undoes_reduce_scatter_up_to_the_sum) {
    for (auto& group : {world(), make_self_communicator()}) {
        check_scatter_and_gather<float>(*group);
        check_scatter_and_gather<bf16>(*group);
    }
}

TEST(Communicator, shares_that_do_not_fit_are_refused) {
    auto group = world();
    std::vector<float> whole(std::size_t(group->size()) * 3 + 1), part(3);
    EXPECT_THROW(group->reduce_scatter(view(part), view(whole), "uneven"), Error);
    EXPECT_THROW(group->all_gather(view(whole), view(part), "uneven"), Error);
}

TEST(Communicator, broadcast_brings_texts_of_any_length) {
    auto group = world();
    const int root = group->size() - 1;
    for (const std::size_t length : sizes) {
        std::string text = group->rank() == root ? std::string(length, 'x') : "something else";
        broadcast(*group, text, root, "text");
        EXPECT_EQ(text, std::string(length, 'x'));
    }
}

TEST(Communicator, split_orders_by_key_within_a_color) {
    auto group = world();
    auto part = group->split(group->rank() % 2, -group->rank(), "halves");
    const int members = (group->size() + 1 - group->rank() % 2) / 2;
    EXPECT_EQ(part->size(), members);
    EXPECT_EQ(part->rank(), members - 1 - group->rank() / 2);  // backwards, by the key
}

// Every rank to every other, two messages each: they match in the order of their starts, whichever is waited for first.
TEST(Communicator, messages_between_two_ranks_keep_their_order_in_both_directions_at_once) {
    auto group = world();
    for (const std::size_t size : sizes) {
        std::vector<std::vector<float>> sent, received;
        std::vector<std::unique_ptr<Transfer>> transfers;
        for (int peer = 0; peer < group->size(); ++peer)
            for (int k = 0; k < 2; ++k) {
                sent.emplace_back(size);
                received.emplace_back(size);
                for (std::size_t i = 0; i < size; ++i) sent.back()[i] = value<float>(group->rank() + 10 * k, i);
            }
        for (int peer = 0; peer < group->size(); ++peer)
            for (int k = 0; k < 2; ++k) {
                if (peer == group->rank()) continue;
                const std::size_t at = std::size_t(2 * peer + k);
                transfers.push_back(group->start_receive(view(received[at]), peer, "numbers"));
                transfers.push_back(group->start_send(view(sent[at]), peer, "numbers"));
            }
        for (std::size_t i = transfers.size(); i-- > 0;) transfers[i]->wait();
        for (int peer = 0; peer < group->size(); ++peer)
            for (int k = 0; k < 2; ++k)
                for (std::size_t i = 0; peer != group->rank() && i < size; ++i)
                    ASSERT_EQ(received[std::size_t(2 * peer + k)][i], value<float>(peer + 10 * k, i));
    }
}

TEST(Communicator, a_message_of_another_size_than_expected_is_refused) {
    auto group = world();
    if (group->size() < 2 || group->rank() > 1) return;
    for (const std::size_t expected : {3, 7}) {
        std::vector<float> five(5), other(expected);
        if (group->rank() == 0) {
            group->start_send(view(five), 1, "five")->wait();
        } else {
            auto transfer = group->start_receive(view(other), 0, "five");
            EXPECT_THROW(transfer->wait(), Error);
        }
    }
}

TEST(Communicator, non_blocking_collectives_do_what_the_blocking_ones_do) {
    for (auto& group : {world(), make_self_communicator()}) {
        const std::size_t ranks = std::size_t(group->size()), rank = std::size_t(group->rank());
        for (const std::size_t share : sizes) {
            std::vector<float> sum(share * ranks), scattered(share * ranks), gathered(share * ranks);
            for (std::size_t i = 0; i < sum.size(); ++i)
                sum[i] = scattered[i] = gathered[i] = value<float>(group->rank(), i);
            const std::int64_t begin = std::int64_t(share * rank), end = std::int64_t(share * (rank + 1));
            // In place: each rank's share is a part of the whole.
            std::vector<std::unique_ptr<Transfer>> all;
            all.push_back(group->start_all_reduce(view(sum), ReduceOp::sum, "sum"));
            all.push_back(group->start_reduce_scatter(view(scattered).slice(begin, end), view(scattered), "scattered"));
            all.push_back(group->start_all_gather(view(gathered), view(gathered).slice(begin, end), "gathered"));
            while (!std::all_of(all.begin(), all.end(), [](const auto& transfer) { return transfer->finished(); })) {
            }
            for (const auto& transfer : all) transfer->wait();
            for (std::size_t i = 0; i < sum.size(); ++i) {
                EXPECT_EQ(sum[i], float(int(ranks * (ranks + 1) / 2) * int(i % 5 + 1)));
                EXPECT_EQ(gathered[i], value<float>(int(i / std::max<std::size_t>(share, 1)), i));
                if (i / share == rank) {
                    EXPECT_EQ(scattered[i], sum[i]);
                }
            }
        }
    }
}

std::string message_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

void expect_parts(const std::string& text, std::initializer_list<const char*> parts) {
    for (const char* part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
}

TEST(Communicator, ranks_that_make_different_calls_get_an_error) {
    auto group = world();
    if (group->size() < 2) return;
    std::vector<float> long_one(1024), short_one(1000);
    std::vector<float>& mine = group->rank() == 1 ? short_one : long_one;
    expect_parts(message_of([&] { group->all_reduce(view(mine), ReduceOp::sum, "gradients"); }),
                 {"rank 0", "all_reduce of gradients", "fp32[1024]", "rank 1", "fp32[1000]"});
    const std::string text = message_of([&] {
        if (group->rank() == 1)
            group->broadcast(mine.data(), 16, 0, "weights");
        else
            group->all_reduce(view(mine), ReduceOp::sum, "gradients");
    });
    expect_parts(text, {"make different calls", "broadcast of weights", "16 bytes from rank 0", "all_reduce of"});
}

TEST(Communicator, the_log_knows_the_last_calls) {
    auto group = world();
    group->progress().set_place(12, 3);
    double number = 1.0;
    for (int i = 0; i < 300; ++i) group->all_reduce(&number, 1, ReduceOp::max, "numbers");
    if (group->size() == 1) return;
    const std::vector<CommCall> calls = group->calls().last();
    ASSERT_EQ(calls.size(), CallLog::capacity);
    EXPECT_EQ(text_of(calls.back()), "all_reduce of numbers over world (fp64[1], step 12, micro-batch 3)");
    EXPECT_EQ(calls.back().number, calls.front().number + std::int64_t(CallLog::capacity) - 1);
    EXPECT_GE(calls.back().end_seconds, calls.back().start_seconds);
}

TEST(Agree, an_error_on_one_rank_is_everyones) {
    auto group = world();
    const int bad = group->size() - 1;
    try {
        agree(*group, [&] {
            if (group->rank() == bad) fail(ExitCode::bad_file, "file {} is damaged", 7);
        });
        ADD_FAILURE() << "no error on rank " << group->rank();
    } catch (const AgreedError& error) {
        EXPECT_EQ(error.code(), ExitCode::bad_file);
        EXPECT_NE(std::string(error.what()).find("file 7 is damaged"), std::string::npos);
        EXPECT_EQ(std::string(error.what()).find("rank ") == 0, bad > 0);
    }
    EXPECT_EQ(agree(*group, [&] { return 5; }), 5);
}

TEST(Agree, the_lowest_rank_speaks_when_all_fail) {
    auto group = world();
    try {
        agree(*group, [&]() -> int { throw std::runtime_error("rank's own"); });
        ADD_FAILURE();
    } catch (const AgreedError& error) {
        EXPECT_EQ(error.code(), ExitCode::internal);
        EXPECT_STREQ(error.what(), "rank's own");
    }
}

TEST(Mesh, places_and_ranks_are_inverse_and_tensor_ranks_are_neighbours) {
    for (int t : {1, 2, 3, 8})
        for (int d : {1, 2, 5})
            for (int p : {1, 2, 4}) {
                const MeshSize size{.tensor = t, .data = d, .pipeline = p};
                std::set<std::tuple<int, int, int>> places;
                for (int rank = 0; rank < size.ranks(); ++rank) {
                    const MeshPlace place = place_of(rank, size);
                    EXPECT_EQ(rank_of(place, size), rank);
                    EXPECT_EQ(rank,
                              place.tensor + t * (place.data + d * place.pipeline));  // order tensor, data, pipeline
                    places.insert({place.tensor, place.data, place.pipeline});
                }
                EXPECT_EQ(int(places.size()), size.ranks());
            }
}

TEST(Mesh, groups_have_the_sizes_and_places_of_the_mesh) {
    const int ranks = world()->size();
    const MeshSize size =
        ranks % 4 == 0 ? MeshSize{.tensor = 2, .data = ranks / 4, .pipeline = 2} : MeshSize{.data = ranks};
    Mesh mesh = make_mesh(world(), size);
    EXPECT_EQ(mesh.tensor->size(), size.tensor);
    EXPECT_EQ(mesh.data->size(), size.data);
    EXPECT_EQ(mesh.pipeline_forward->size(), size.pipeline);
    EXPECT_EQ(mesh.tensor->rank(), mesh.place.tensor);
    EXPECT_EQ(mesh.data->rank(), mesh.place.data);
    EXPECT_EQ(mesh.pipeline_backward->rank(), mesh.place.pipeline);
    // Neighbours in the tensor group are ranks that follow each other.
    std::int64_t lowest = mesh.world->rank();
    mesh.tensor->all_reduce(&lowest, 1, ReduceOp::min, "lowest");
    EXPECT_EQ(mesh.world->rank(), lowest + mesh.place.tensor);
}

TEST(Mesh, a_mesh_of_another_size_than_the_job_is_refused) {
    EXPECT_THROW(make_mesh(world(), {.tensor = world()->size() + 1}), Error);
}

}  // namespace
}  // namespace gpas
