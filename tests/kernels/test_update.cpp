// What the device decides on a step's update, and what AdamW makes of it.
#include "kernels/ops.hpp"
#include "kernels/readback.hpp"
#include "tests/support/owned_tensor.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace gpas {
namespace {

using namespace test_support;

constexpr std::int64_t room = 1 << 20;
constexpr double infinity = std::numeric_limits<double>::infinity();

UpdateDecision decide(const std::vector<double>& sums, const UpdateRule& rule) {
    Context context(1, device_arena(room));
    const OwnedTensor given(Dtype::fp64, {4}, sums), made(Dtype::fp64, {update_numbers});
    decide_update(context, made, given, rule);
    EXPECT_TRUE(made.guards_are_intact());
    UpdateDecision decision;
    std::memcpy(static_cast<void*>(&decision), made.tensor().data, sizeof decision);
    return decision;
}

TEST(StepSums, count_a_loss_on_one_rank_and_gates_twice) {
    Context context(1, device_arena(room));
    const OwnedTensor loss(Dtype::fp64, {1}, {7.0}), squares(Dtype::fp64, {2}, {3.0, 0.5});
    const OwnedTensor sums(Dtype::fp64, {4}), own(Dtype::fp64, {1});
    step_sums(context, sums, own, loss, squares, {.factor = 2.0, .tokens = 11.0});
    EXPECT_EQ(sums.values(), (std::vector<double>{14.0, 11.0, 3.5, 0.5}));
    EXPECT_EQ(own.at(0), 14.0);
    // A NaN of a rank whose loss does not count stays there.
    step_sums(context, sums, own, loss, squares, {.factor = NAN, .counted = false});
    EXPECT_EQ(sums.values(), (std::vector<double>{0.0, 0.0, 3.5, 0.5}));
    EXPECT_TRUE(std::isnan(own.at(0)));
}

// Each number is a few roundings of fp64 away: products may be fused.
TEST(DecideUpdate, divides_by_tokens_and_clips_gates_after_all) {
    const UpdateDecision d = decide({40.0, 8.0, 256.0, 64.0}, {.clip = 0.5, .gate_clip = 0.05});
    EXPECT_EQ(d.loss, 5.0);
    EXPECT_EQ(d.gradient_norm, 2.0);
    EXPECT_EQ(d.gate_gradient_norm, 1.0);
    const double clip = 0.5 / (2.0 + 1e-6), gate_clip = 0.05 / (clip + 1e-6);
    EXPECT_NEAR(d.clip, clip, 4 * 0x1p-53);
    EXPECT_NEAR(d.gate_clip, gate_clip, 8 * 0x1p-53);
    EXPECT_NEAR(d.factor, clip / 8.0, 4 * 0x1p-53);
    EXPECT_NEAR(d.gate_factor, clip / 8.0 * gate_clip, 8 * 0x1p-53);
    EXPECT_EQ(d.taken, 1.0);
}

TEST(DecideUpdate, divides_by_its_divisor_and_clips_nothing_without_a_limit) {
    const UpdateDecision d = decide({40.0, 8.0, 256.0, 64.0}, {.divisor = 4.0});
    EXPECT_EQ(d.loss, 5.0);
    EXPECT_EQ(d.gradient_norm, 4.0);
    EXPECT_EQ(d.factor, 0.25);
    EXPECT_EQ(d.gate_factor, 0.25);
    EXPECT_EQ(d.clip, 1.0);
}

TEST(DecideUpdate, refuses_bad_numbers_what_stands_out_no_tokens_and_what_is_not_allowed) {
    const auto taken = [](const std::vector<double>& sums, const UpdateRule& rule) {
        return decide(sums, rule).taken == 1.0;
    };
    const std::vector<double> good{40.0, 8.0, 256.0, 64.0};  // loss 5, norm 2
    EXPECT_TRUE(taken(good, {}));
    EXPECT_TRUE(taken(good, {.most_loss = 5.0, .most_gradient_norm = 2.0}));
    EXPECT_FALSE(taken(good, {.most_loss = std::nextafter(5.0, 0.0)}));
    EXPECT_FALSE(taken(good, {.most_gradient_norm = std::nextafter(2.0, 0.0)}));
    EXPECT_FALSE(taken(good, {.allowed = false}));
    for (const double bad : {double(NAN), infinity}) {
        EXPECT_FALSE(taken({bad, 8.0, 256.0, 64.0}, {}));
        EXPECT_FALSE(taken({40.0, 8.0, bad, 64.0}, {}));
    }
    EXPECT_FALSE(taken({-infinity, 8.0, 256.0, 64.0}, {}));
    EXPECT_FALSE(taken({0.0, 0.0, 256.0, 64.0}, {}));
    EXPECT_EQ(decide({0.0, 0.0, 256.0, 64.0}, {}).loss, 0.0);
}

struct AdamwState {
    static constexpr std::int64_t elements = 8200;
    OwnedTensor w{Dtype::fp32, {elements}, random_values(elements, 1)};
    OwnedTensor m{Dtype::fp32, {elements}, random_values(elements, 3)};
    OwnedTensor v{Dtype::fp32, {elements}, std::vector<double>(std::size_t(elements), 0.25)};
    OwnedTensor copy{Dtype::bf16, {elements}, random_values(elements, 4)};
    std::vector<std::vector<std::byte>> bytes() const { return {w.bytes(), m.bytes(), v.bytes(), copy.bytes()}; }
};

TEST(Adamw, reads_factor_and_flag_where_the_device_left_them) {
    constexpr std::int64_t n = AdamwState::elements;
    Context context(2, device_arena(room));
    const OwnedTensor g(Dtype::fp32, {n}, random_values(n, 2)), factor(Dtype::fp64, {1}, {0.1});
    std::vector<double> product;
    for (const double value : g.values()) product.push_back(double(float(value) * 0.1F));
    const OwnedTensor scaled(Dtype::fp32, {n}, product);
    const auto step = [&](AdamwState& s, const OwnedTensor& gradient, Tensor by, double taken) {
        const OwnedTensor flag(Dtype::fp64, {1}, {taken});
        const AdamwPiece piece{
            .w = s.w, .m = s.m, .v = s.v, .compute = s.copy, .gradient = gradient, .weight_decay = 0.1, .factor = by};
        adamw(context, {&piece, 1}, {.learning_rate = 0.01, .step = 3, .taken = flag});
    };
    AdamwState by_device, by_hand, left;
    const auto before = left.bytes();
    step(by_device, g, factor, 1.0);
    step(by_hand, scaled, {}, 1.0);
    step(left, g, factor, 0.0);
    EXPECT_EQ(by_device.bytes(), by_hand.bytes());
    EXPECT_NE(by_device.bytes(), before);
    EXPECT_EQ(left.bytes(), before);
}

TEST(Readback, gives_what_stood_there_when_it_was_fetched) {
    Context context(1, device_arena(room));
    const OwnedTensor values(Dtype::fp64, {3}, {1.0, 2.0, 3.0});
    Readback read(context, 3);
    read.fetch(context, values);
    clear(context, values);
    const auto found = read.wait();
    EXPECT_EQ(std::vector<double>(found.begin(), found.end()), (std::vector<double>{1.0, 2.0, 3.0}));
}

}  // namespace
}  // namespace gpas
