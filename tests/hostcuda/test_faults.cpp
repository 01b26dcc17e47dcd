// Would the tests of the kernels notice a mistake? Each operation runs with one planted fault at a time: a barrier left
// out, a shuffle that reads the wrong lane, a copy that is not waited for, the last block of a grid missing, memory
// that is not zeroed. Its results must then be far from the right ones, or its execution break the rules, in one of the
// three orders that the tests run in.
#include "kernels/qk_norm.hpp"
#include "tests/hostcuda/run.hpp"
#include "tests/support/owned_tensor.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <functional>
#include <optional>
#include <string>

namespace gpas {
namespace {

using namespace test_support;
using hostcuda::Fault;
using hostcuda::FaultKind;
using hostcuda::Order;

constexpr std::int64_t scratch_size = 1 << 22;
constexpr Order orders[] = {Order::forward, Order::reverse, Order::random};

std::string describe(const Fault& fault) {
    const char* kinds[] = {"no fault",           "dropped barrier", "wrong lane",
                           "last block missing", "late copy",       "no zeroing"};
    return std::string(kinds[int(fault.kind)]) + " at " + fault.place.file + ":" + std::to_string(fault.place.line);
}

// Inputs and outputs of one operation; made again for each run.
class Bench {
public:
    Tensor in(Dtype dtype, std::initializer_list<std::int64_t> shape) {
        const std::int64_t count = Tensor(nullptr, dtype, shape).elements();
        return tensors_.emplace_back(dtype, shape, random_values(count, seed_++)).tensor();
    }
    Tensor ids(std::int64_t count, std::int32_t vocabulary) {
        OwnedTensor& tensor = tensors_.emplace_back(Dtype::int32, std::initializer_list<std::int64_t>{count});
        for (std::int64_t i = 0; i < count; ++i) tensor.set(i, double((i * 7) % vocabulary));
        return tensor.tensor();
    }
    Tensor out(Dtype dtype, std::initializer_list<std::int64_t> shape) {
        outputs_.push_back(tensors_.size());
        return tensors_.emplace_back(dtype, shape).tensor();
    }
    Tensor added_to(Dtype dtype, std::initializer_list<std::int64_t> shape) {
        outputs_.push_back(tensors_.size());
        return in(dtype, shape);
    }
    std::vector<double> results() const {
        std::vector<double> all;
        for (const std::size_t i : outputs_) {
            const std::vector<double> values = tensors_[i].values();
            all.insert(all.end(), values.begin(), values.end());
        }
        return all;
    }

private:
    std::deque<OwnedTensor> tensors_;
    std::vector<std::size_t> outputs_;
    unsigned seed_ = 1;
};

using Operation = std::function<void(Context&, Bench&)>;

// Empty if the execution broke the rules.
std::optional<std::vector<double>> run(const Operation& operation, Order order, const Fault& fault) {
    hostcuda::set_order(order, 3);
    hostcuda::set_fault(fault);
    std::optional<std::vector<double>> results;
    try {
        Bench bench;
        Context context(1, poisoned_scratch(scratch_size));
        operation(context, bench);
        results = bench.results();
    } catch (const hostcuda::BrokenExecution&) {
    }
    hostcuda::set_fault({});
    hostcuda::set_order(Order::forward);
    return results;
}

// Whether a and b differ by more than any bound of the tests.
bool far_apart(const std::vector<double>& a, const std::vector<double>& b) {
    double size = 0.0;
    for (const double x : a) size = std::max(size, std::abs(x));
    for (std::size_t i = 0; i < a.size(); ++i)
        if (!(std::abs(a[i] - b[i]) <= 1e-3 * std::abs(a[i]) + 1e-5 * size)) return true;
    return false;
}

bool noticed(const Operation& operation, const Fault& fault, const std::vector<double>& right) {
    for (const Order order : orders) {
        const auto results = run(operation, order, fault);
        if (!results || far_apart(right, *results)) return true;
    }
    return false;
}

// Plants every possible fault of the operation. at_least: if there are fewer, the search has missed some.
void expect_all_noticed(const char* name, const Operation& operation, std::size_t at_least) {
    SCOPED_TRACE(name);
    hostcuda::possible_faults();  // discards those of earlier operations
    const auto right = run(operation, Order::forward, {});
    const std::vector<Fault> faults = hostcuda::possible_faults();
    ASSERT_TRUE(right.has_value());
    for (const double x : *right) ASSERT_TRUE(std::isfinite(x));
    for (const Order order : orders) EXPECT_EQ(run(operation, order, {}), right) << "the order changes the result";
    EXPECT_GE(faults.size(), at_least);
    for (const Fault& fault : faults) EXPECT_TRUE(noticed(operation, fault, *right)) << describe(fault);
}

// More rows than the blocks process at once, and several warps per row.
constexpr std::int64_t rows = 40, columns = 1032;

TEST(Faults, of_the_residual_stream_are_noticed) {
    expect_all_noticed(
        "rmsnorm",
        [](Context& c, Bench& b) {
            rmsnorm(c, b.out(Dtype::bf16, {rows, columns}), b.out(Dtype::fp32, {rows}),
                    {b.in(Dtype::bf16, {rows, columns}), {}}, {b.in(Dtype::bf16, {columns})});
        },
        3);
    expect_all_noticed(
        "residual with a norm",
        [](Context& c, Bench& b) {
            residual(c, {.x2 = b.out(Dtype::fp32, {rows, columns}),
                         .n = b.out(Dtype::fp32, {rows, columns}),
                         .rstd = b.out(Dtype::fp32, {rows}),
                         .h = {b.in(Dtype::fp32, {rows, columns}), {}},
                         .b = b.in(Dtype::fp32, {rows, columns}),
                         .norm = {b.in(Dtype::fp32, {columns})}});
        },
        3);
    expect_all_noticed(
        "rmsnorm_backward",
        [](Context& c, Bench& b) {
            const Tensor g = b.in(Dtype::fp32, {2}), x = b.in(Dtype::bf16, {rows, columns});
            const Gate stream{g.as<float>()}, shortcut{g.as<float>() + 1};
            const Tensor w = b.in(Dtype::bf16, {columns}), rstd = b.out(Dtype::fp32, {rows});
            const Tensor dg = b.added_to(Dtype::fp32, {2});
            rmsnorm(c, b.out(Dtype::bf16, {rows, columns}), rstd, {x, stream}, {w});
            rmsnorm_backward(c, {.d = b.added_to(Dtype::bf16, {rows, columns}),
                                 .dw = b.added_to(Dtype::fp32, {columns}),
                                 .dgate = {dg.as<float>(), dg.as<float>() + 1},
                                 .dn = b.in(Dtype::bf16, {rows, columns}),
                                 .r = {1.5F, shortcut},
                                 .h = {x, stream},
                                 .rstd = rstd,
                                 .norm = {w}});
        },
        5);
    expect_all_noticed(
        "residual_backward and moments",
        [](Context& c, Bench& b) {
            const Tensor g = b.in(Dtype::fp32, {1}), x = b.in(Dtype::bf16, {rows, columns});
            const Tensor dg = b.added_to(Dtype::fp32, {1}), sums = b.out(Dtype::fp64, {2});
            residual_backward(c, {.d = b.added_to(Dtype::bf16, {rows, columns}),
                                  .dgate = {.stream = dg.as<float>()},
                                  .db = b.in(Dtype::bf16, {rows, columns}),
                                  .h = {x, {g.as<float>()}}});
            const Moments m = moments(c, {x, {g.as<float>()}});
            sums.as<double>()[0] = m.sum;
            sums.as<double>()[1] = m.sum_of_squares;
        },
        4);
}

TEST(Faults, of_embedding_and_feed_forward_are_noticed) {
    expect_all_noticed(
        "embedding",
        [](Context& c, Bench& b) {
            embedding(c, b.out(Dtype::bf16, {300, 64}), b.in(Dtype::bf16, {40, 64}), b.ids(300, 50), 5);
        },
        1);
    expect_all_noticed(
        "embedding_backward",
        [](Context& c, Bench& b) {
            constexpr std::int64_t tokens = 2200;  // more than a block compares per turn
            const Tensor ids = b.ids(tokens, 41);
            ids.as<std::int32_t>()[tokens - 1] = 45;  // or the last block would have nothing to do
            embedding_backward(c, b.added_to(Dtype::fp32, {50, 16}), b.in(Dtype::bf16, {tokens, 16}), ids, 0);
        },
        4);
    expect_all_noticed(
        "swiglu",
        [](Context& c, Bench& b) {
            const Tensor gate_up = b.in(Dtype::bf16, {rows, 2 * columns});
            swiglu(c, b.out(Dtype::bf16, {rows, columns}), gate_up);
            swiglu_backward(c, b.out(Dtype::bf16, {rows, 2 * columns}), b.in(Dtype::bf16, {rows, columns}), gate_up);
        },
        1);
}

TEST(Faults, of_the_loss_are_noticed) {
    expect_all_noticed(
        "cross entropy",
        [](Context& c, Bench& b) {
            const Tensor logits = b.in(Dtype::fp32, {9, 2500}), labels = b.ids(9, 2000);
            const Tensor stats = b.out(Dtype::fp32, {9, 3});
            cross_entropy_stats(c, stats, logits, labels, 0);
            cross_entropy_loss(c, b.added_to(Dtype::fp64, {1}), stats, labels);
            cross_entropy_backward(
                c, {.dlogits = b.out(Dtype::bf16, {9, 2500}), .logits = logits, .stats = stats, .labels = labels});
        },
        5);
    expect_all_noticed(
        "combine",
        [](Context& c, Bench& b) {
            cross_entropy_combine(c, b.out(Dtype::fp32, {300, 3}), b.in(Dtype::fp32, {600, 3}));
        },
        1);
    expect_all_noticed(
        "token losses",
        [](Context& c, Bench& b) {
            const Tensor stats = b.out(Dtype::fp32, {300, 3}), labels = b.ids(300, 20);
            cross_entropy_stats(c, stats, b.in(Dtype::fp32, {300, 20}), labels, 0);
            cross_entropy_token_losses(c, b.out(Dtype::fp64, {300}), stats, labels);
        },
        2);
}

TEST(Faults, of_flat_ranges_are_noticed) {
    constexpr std::int64_t n = 20000;
    expect_all_noticed(
        "adamw",
        [](Context& c, Bench& b) {
            const Tensor v = b.added_to(Dtype::fp32, {n});
            for (std::int64_t i = 0; i < n; ++i) v.as<float>()[i] = std::abs(v.as<float>()[i]);
            const AdamwPiece piece{.w = b.added_to(Dtype::fp32, {n}),
                                   .m = b.added_to(Dtype::fp32, {n}),
                                   .v = v,
                                   .compute = b.out(Dtype::bf16, {n}),
                                   .gradient = b.in(Dtype::fp32, {n})};
            adamw(c, {&piece, 1}, {.learning_rate = 0.1});
        },
        1);
    expect_all_noticed(
        "adamw by numbers of the device",
        [](Context& c, Bench& b) {
            const Tensor v = b.added_to(Dtype::fp32, {n});
            for (std::int64_t i = 0; i < n; ++i) v.as<float>()[i] = std::abs(v.as<float>()[i]);
            const AdamwPiece piece{.w = b.added_to(Dtype::fp32, {n}),
                                   .m = b.added_to(Dtype::fp32, {n}),
                                   .v = v,
                                   .gradient = b.in(Dtype::fp32, {n}),
                                   .factor = b.in(Dtype::fp64, {1})};
            adamw(c, {&piece, 1}, {.learning_rate = 0.1, .taken = b.in(Dtype::fp64, {1})});
        },
        1);
    expect_all_noticed(
        "squared_norm",
        [](Context& c, Bench& b) {
            const Tensor xs[] = {b.in(Dtype::fp32, {n}), b.in(Dtype::bf16, {n - 1}), b.in(Dtype::fp32, {7})};
            squared_norm(c, b.added_to(Dtype::fp64, {1}), xs);
        },
        3);
    expect_all_noticed(
        "first_non_finite",
        [](Context& c, Bench& b) {
            const Tensor x = b.in(Dtype::fp32, {n}), found = b.out(Dtype::fp64, {1});
            x.as<float>()[n - 7] = NAN;
            found.as<double>()[0] = double(first_non_finite(c, x));
        },
        2);
    expect_all_noticed(
        "fingerprint",
        [](Context& c, Bench& b) {
            const Tensor x = b.in(Dtype::fp32, {n}), found = b.out(Dtype::fp64, {1});
            found.as<double>()[0] = double(fingerprint(c, x) >> 12);
        },
        2);
    expect_all_noticed("clear", [](Context& c, Bench& b) { clear(c, b.out(Dtype::fp32, {n})); }, 1);
    expect_all_noticed(
        "cast, fill and scale",
        [](Context& c, Bench& b) {
            const Tensor y = b.out(Dtype::bf16, {n});
            cast(c, y, b.in(Dtype::fp32, {n}));
            scale(c, y, 3.0F);
            fill(c, b.out(Dtype::bf16, {n}), 2.0F);
        },
        1);
}

TEST(Faults, of_attention_are_noticed) {
    for (const Dtype dtype : {Dtype::bf16, Dtype::fp32})
        expect_all_noticed(
            dtype == Dtype::bf16 ? "attention in bf16" : "attention in fp32",
            [dtype](Context& c, Bench& b) {
                // The second block of keys has a single tile of queries, which is not full. So the rows past its end
                // matter.
                const AttentionShape shape{.sequence = 140, .batch = 1, .heads = 2, .kv_heads = 1, .head_dim = 64};
                const Tensor qkv = b.in(dtype, {140, shape.qkv_columns()});
                const Tensor o = b.out(dtype, {140, 128}), lse = b.out(Dtype::fp32, {2, 140});
                attention(c, {.o = o, .lse = lse, .qkv = qkv, .shape = shape});
                attention_backward(c, {.dqkv = b.out(dtype, {140, shape.qkv_columns()}),
                                       .d_o = b.in(dtype, {140, 128}),
                                       .o = o,
                                       .lse = lse,
                                       .qkv = qkv,
                                       .shape = shape});
            },
            8);
}

TEST(Faults, of_attention_at_the_last_position_are_noticed) {
    for (const Dtype dtype : {Dtype::bf16, Dtype::fp32})
        expect_all_noticed(
            dtype == Dtype::bf16 ? "attention_last in bf16" : "attention_last in fp32",
            [dtype](Context& c, Bench& b) {
                const AttentionShape shape{.sequence = 140, .batch = 1, .heads = 2, .kv_heads = 1, .head_dim = 64};
                attention_last(c, b.out(dtype, {1, 128}), b.in(dtype, {140, shape.qkv_columns()}), shape);
            },
            3);
}

TEST(Faults, of_biases_are_noticed) {
    expect_all_noticed(
        "add_bias and bias_gradient",
        [](Context& c, Bench& b) {
            const Tensor y = b.added_to(Dtype::bf16, {rows, columns});
            bias_gradient(c, b.added_to(Dtype::fp32, {columns}), y);
            add_bias(c, y, b.in(Dtype::bf16, {columns}));
        },
        2);
}

TEST(Faults, of_norms_of_queries_and_keys_are_noticed) {
    for (const bool whole : {false, true})
        expect_all_noticed(
            whole ? "QK-norm over the projection" : "QK-norm per head",
            [whole](Context& c, Bench& b) {
                const AttentionShape shape{.sequence = 100, .batch = 1, .heads = 4, .kv_heads = 2, .head_dim = 64};
                const std::int64_t q = whole ? 256 : 64, k = whole ? 128 : 64;
                const QkNorm norm{
                    .attention = shape, .whole = whole, .query = b.in(Dtype::bf16, {q}), .key = b.in(Dtype::bf16, {k})};
                const Tensor qkv = b.added_to(Dtype::bf16, {100, shape.qkv_columns()});
                const Tensor dqkv = b.added_to(Dtype::bf16, {100, shape.qkv_columns()});
                const Tensor raw = b.out(Dtype::bf16, {100, norm.columns()});
                const Tensor squares = b.out(Dtype::fp32, {100, norm.spans()});
                const Tensor dots = b.out(Dtype::fp32, {100, norm.spans()});
                qk_squares(c, squares, qkv, norm);
                qk_norm(c, qkv, raw, squares, norm);
                qk_dots(c, dots, dqkv, raw, norm);
                qk_norm_backward(c, {.dqkv = dqkv,
                                     .dquery = b.added_to(Dtype::fp32, {q}),
                                     .dkey = b.added_to(Dtype::fp32, {k}),
                                     .raw = raw,
                                     .squares = squares,
                                     .dots = dots,
                                     .norm = norm});
            },
            3);
}

TEST(Faults, of_rope_are_noticed) {
    expect_all_noticed(
        "rope",
        [](Context& c, Bench& b) {
            const AttentionShape shape{.sequence = 100, .batch = 1, .heads = 4, .kv_heads = 2, .head_dim = 64};
            rope(c, b.added_to(Dtype::bf16, {100, shape.qkv_columns()}), shape, b.in(Dtype::fp32, {100, 32}),
                 b.in(Dtype::fp32, {100, 32}), false);
        },
        1);
}

}  // namespace
}  // namespace gpas
