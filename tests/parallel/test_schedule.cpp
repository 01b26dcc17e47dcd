// Every schedule of every size up to 8 stages, 32 micro-batches and 4 chunks, played through.
#include "base/error.hpp"
#include "parallel/schedule/simulation.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace gpas {
namespace {

using enum PipelineSchedule;
using enum PipelineWork;

template <class Check>
void for_every_shape(Check&& check) {
    for (const PipelineSchedule schedule : {gpipe, one_f_one_b, interleaved, zb_h1})
        for (int p = 1; p <= 8; ++p)
            for (int v = 1; v <= 4; ++v)
                for (std::int64_t m = 1; m <= 32; ++m)
                    for (const std::int64_t group : {0, p + 1, p + 3}) {
                        const PipelineShape shape{schedule, p, v, m, group};
                        if (group > 0 && schedule != interleaved) continue;
                        if (!why_impossible(shape).empty()) continue;
                        SCOPED_TRACE(fmt::format("schedule {}, {} stages, {} chunks, {} micro-batches, groups of {}",
                                                 int(schedule), p, v, m, group));
                        check(shape);
                    }
}

// The number of buffers for gradients of activations that a stage needs so that the schedule cannot deadlock. Fewer can
// deadlock if a send completes only when its receiver is ready: in the interleaved schedule a stage computes up to
// group - stages gradients ahead of its neighbour, and each of them occupies a buffer. Found by simulation of all
// sizes, with early receives, without them, and with early receives that wait for a buffer (simulation.hpp).
std::int64_t least_gradient_buffers(const PipelineShape& shape) {
    if (shape.stages == 1) return 1;
    if (shape.schedule != PipelineSchedule::interleaved || shape.group == 0) return 2;
    return std::max<std::int64_t>(2, shape.group - shape.stages + 1);
}

// As many as the program has (replica.cpp), or more if a schedule needs them.
int buffers_of(const PipelineShape& shape) { return int(std::max<std::int64_t>(3, least_gradient_buffers(shape))); }

TEST(Schedule, computes_everything_once_and_in_order) {
    int shapes = 0;
    for_every_shape([&](const PipelineShape& shape) {
        ++shapes;
        for (int stage = 0; stage < shape.stages; ++stage) {
            std::map<std::pair<std::int64_t, int>, int> state;  // 1: forward done, 2: input gradient, 3: all
            std::vector<std::int64_t> next_weight(std::size_t(shape.chunks), 0);
            bool ordered = true;
            for (const PipelineAction& action : pipeline_actions(shape, stage)) {
                int& now = state[{action.micro_batch, action.chunk}];
                const int needed = action.work == forward ? 0 : action.work == backward_weight ? 2 : 1;
                ordered = ordered && now == needed;
                now = action.work == forward ? 1 : action.work == backward_input ? 2 : 3;
                // Weight gradients are added up in the order of micro-batches: the same bits, but for ZB-H1's late
                // ones.
                if (now == 3 && shape.schedule != zb_h1)
                    ordered = ordered && action.micro_batch == next_weight[std::size_t(action.chunk)]++;
            }
            ASSERT_TRUE(ordered) << "stage " << stage;
            ASSERT_EQ(std::int64_t(state.size()), shape.micro_batches * shape.chunks);
            ASSERT_TRUE(std::all_of(state.begin(), state.end(), [](const auto& entry) { return entry.second == 3; }));
        }
    });
    EXPECT_GT(shapes, 1000);
}

TEST(Schedule, never_stops_and_every_message_meets_its_receiver) {
    for_every_shape([&](const PipelineShape& shape) {
        for (const double message : {0.0, 0.3}) {
            const PipelineSimulation result =
                simulate(shape, PipelineCosts::uniform(shape, 1.0, 1.0, 1.0, message), buffers_of(shape));
            ASSERT_TRUE(result.problems.empty()) << result.problems.front();
        }
    });
}

// Stages and chunks that cost what they like.
TEST(Schedule, never_stops_with_uneven_stages) {
    for_every_shape([&](const PipelineShape& shape) {
        PipelineCosts costs = PipelineCosts::uniform(shape, 1.0, 1.2, 0.7, 0.1);
        for (std::size_t i = 0; i < costs.forward.size(); ++i) costs.forward[i] += double((i * 7 + 3) % 5);
        ASSERT_TRUE(simulate(shape, costs, buffers_of(shape)).problems.empty());
    });
}

std::int64_t expected_in_flight(const PipelineShape& shape, int stage) {
    const std::int64_t after = shape.stages - stage - 1;
    switch (shape.schedule) {
        case gpipe: return shape.micro_batches;
        case interleaved: {
            const std::int64_t group = shape.group > 0 ? shape.group : shape.stages;
            return std::min(2 * after + (shape.chunks - 1) * group + 1, shape.micro_batches * shape.chunks);
        }
        // ZB-H1 keeps what late weight gradients need: on every stage as much as on the first of 1F1B.
        case zb_h1: return std::min<std::int64_t>(shape.stages, shape.micro_batches);
        case one_f_one_b: return std::min(after + 1, shape.micro_batches);
    }
    return 0;
}

TEST(Schedule, keeps_as_many_micro_batches_in_flight_as_the_formulas_say) {
    for_every_shape([&](const PipelineShape& shape) {
        const PipelineSimulation result = simulate(shape, PipelineCosts::uniform(shape, 1.0, 1.0, 1.0));
        for (int stage = 0; stage < shape.stages; ++stage) {
            const std::int64_t found = result.in_flight[std::size_t(stage)];
            ASSERT_EQ(found, expected_in_flight(shape, stage)) << "stage " << stage;
        }
    });
}

TEST(Schedule, has_the_bubble_of_the_formulas) {
    constexpr double f = 1.0, b = 1.0, w = 1.0;
    for_every_shape([&](const PipelineShape& shape) {
        const double p = shape.stages;
        const std::int64_t group = shape.group > 0 ? shape.group : shape.stages;
        double expected = (p - 1.0) * (f + b + w);
        if (shape.schedule == interleaved) {
            if (shape.group > 0 || shape.micro_batches % group != 0) return;  // no formula
        }
        if (shape.schedule == zb_h1) return;  // below
        // A chunk's share of a stage's work costs 1/v; here each costs one unit.
        const PipelineSimulation result = simulate(shape, PipelineCosts::uniform(shape, f, b, w));
        ASSERT_NEAR(result.bubble(), expected, 1e-9);
    });
}

// With t_W no longer than t_F and t_B, and m >= p, the bubble is (p - 1) (t_F + t_B - t_W). With fewer micro-batches
// there is not enough late work for it; of longer weight gradients only so much hides.
TEST(Schedule, zero_bubble_hides_weight_gradients_up_to_the_time_of_a_forward_and_of_an_input_gradient) {
    for (const double f : {0.5, 1.0, 2.0})
        for (const double b : {0.5, 1.0, 2.0})
            for (const double w : {0.25, 0.5, 1.0, 3.0})
                for (int p = 1; p <= 8; ++p)
                    for (std::int64_t m = 1; m <= 32; ++m) {
                        const PipelineShape shape{zb_h1, p, 1, m};
                        const double hidden = std::min({f, b, w});
                        const double missing = double(std::max<std::int64_t>(0, p - m));
                        // All times are multiples of 1/4: sums are exact.
                        ASSERT_EQ(simulate(shape, PipelineCosts::uniform(shape, f, b, w)).bubble(),
                                  (p - 1.0) * (f + b - hidden) + missing * hidden)
                            << p << " stages, " << m << " micro-batches, costs " << f << ' ' << b << ' ' << w;
                    }
}

TEST(Schedule, sends_what_another_stage_receives) {
    for_every_shape([&](const PipelineShape& shape) {
        using Message =
            std::tuple<bool, int, int, std::int64_t, int>;  // forward, from, to, micro-batch, sender's chunk
        std::multiset<Message> sent, received;
        for (int stage = 0; stage < shape.stages; ++stage)
            for (const PipelineAction& action : pipeline_actions(shape, stage)) {
                const bool is_forward = action.work == forward;
                const PipelineMessage to = output_of(shape, stage, action), from = input_of(shape, stage, action);
                if (to.exists) sent.insert({is_forward, stage, to.peer, action.micro_batch, action.chunk});
                if (from.exists) received.insert({is_forward, from.peer, stage, from.micro_batch, from.chunk});
            }
        ASSERT_EQ(sent, received);
        const std::int64_t hops = shape.stages * shape.chunks - 1;
        ASSERT_EQ(std::int64_t(sent.size()), 2 * hops * shape.micro_batches);
    });
}

TEST(Schedule, never_stops_with_the_least_gradient_buffers) {
    for_every_shape([&](const PipelineShape& shape) {
        const int least = int(least_gradient_buffers(shape));
        for (int buffers = least; buffers <= least + 1; ++buffers) {
            const PipelineSimulation result =
                simulate(shape, PipelineCosts::uniform(shape, 1.0, 1.2, 0.7, 0.1), buffers);
            ASSERT_TRUE(result.problems.empty()) << buffers << " buffers: " << result.problems.front();
        }
    });
}

TEST(Simulation, sees_stages_that_wait_for_each_others_gradient_buffers) {
    for (const auto& [shape, buffers] :
         {std::pair{PipelineShape{interleaved, 2, 2, 2}, 1}, std::pair{PipelineShape{interleaved, 2, 2, 12, 6}, 3}}) {
        const PipelineSimulation result = simulate(shape, PipelineCosts::uniform(shape, 1, 1, 1), buffers);
        ASSERT_FALSE(result.problems.empty());
        EXPECT_NE(fmt::format("{}", fmt::join(result.problems, "; ")).find("no buffer for a gradient"),
                  std::string::npos);
    }
}

TEST(Simulation, sees_a_message_of_the_wrong_chunk) {
    const PipelineShape shape{interleaved, 2, 3, 2};
    std::vector<std::vector<PipelineAction>> lists{pipeline_actions(shape, 0), pipeline_actions(shape, 1)};
    for (PipelineAction& action : lists[0])
        if (action.work == forward && action.chunk > 0) action.chunk = 3 - action.chunk;
    const PipelineSimulation result = simulate(shape, PipelineCosts::uniform(shape, 1, 1, 1), lists);
    ASSERT_FALSE(result.problems.empty());
    EXPECT_NE(result.problems.front().find("received the output of"), std::string::npos);
}

PipelineShape two_stages() { return {one_f_one_b, 2, 1, 4}; }

TEST(Simulation, names_a_stage_that_waits_for_ever) {
    const PipelineShape shape = two_stages();
    std::vector<std::vector<PipelineAction>> lists{pipeline_actions(shape, 0), pipeline_actions(shape, 1)};
    lists[0].erase(lists[0].begin() + 1);  // a forward that the other stage needs
    const PipelineSimulation result = simulate(shape, PipelineCosts::uniform(shape, 1, 1, 1), lists);
    ASSERT_FALSE(result.problems.empty());
    EXPECT_NE(fmt::format("{}", fmt::join(result.problems, "; ")).find("waits indefinitely"), std::string::npos);
}

TEST(Simulation, sees_a_message_that_meets_the_wrong_receiver) {
    const PipelineShape shape = two_stages();
    std::vector<std::vector<PipelineAction>> lists{pipeline_actions(shape, 0), pipeline_actions(shape, 1)};
    std::swap(lists[1][0].micro_batch, lists[1][2].micro_batch);
    std::swap(lists[1][1].micro_batch, lists[1][3].micro_batch);
    const PipelineSimulation result = simulate(shape, PipelineCosts::uniform(shape, 1, 1, 1), lists);
    ASSERT_FALSE(result.problems.empty());
    EXPECT_NE(result.problems.front().find("received the output of"), std::string::npos);
}

TEST(Simulation, adds_up_busy_time_and_messages) {
    const PipelineShape shape{gpipe, 2, 1, 1};
    const PipelineSimulation result = simulate(shape, PipelineCosts::uniform(shape, 2.0, 1.0, 3.0, 0.5));
    EXPECT_DOUBLE_EQ(result.seconds, 2.0 * (2.0 + 4.0) + 2.0 * 0.5);
    EXPECT_EQ(result.busy, (std::vector<double>{6.0, 6.0}));
}

TEST(Schedule, says_why_a_shape_is_impossible) {
    EXPECT_NE(why_impossible({one_f_one_b, 2, 2, 4}).find("interleaved"), std::string::npos);
    EXPECT_NE(why_impossible({interleaved, 1, 2, 4}).find("two pipeline stages"), std::string::npos);
    EXPECT_NE(why_impossible({interleaved, 2, 1, 4}).find("1f1b"), std::string::npos);
    EXPECT_NE(why_impossible({interleaved, 4, 2, 6}).find("multiple of 4"), std::string::npos);
    EXPECT_NE(why_impossible({interleaved, 4, 2, 8, 3}).find("at least 4"), std::string::npos);
    EXPECT_EQ(why_impossible({interleaved, 4, 2, 8, 6}).empty(), false);
    EXPECT_TRUE(why_impossible({interleaved, 4, 2, 8}).empty());
}

}  // namespace
}  // namespace gpas
