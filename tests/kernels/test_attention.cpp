// attention and attention_backward against softmax written out in double precision.
#include "base/error.hpp"
#include "kernels/ops.hpp"
#include "tests/support/owned_tensor.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace gpas {
namespace {

using namespace test_support;
using Doubles = std::vector<double>;

std::size_t at(std::int64_t i) { return std::size_t(i); }

// Begins of documents: at the edge of a tile, next to the edge, at the first position, or none. Samples differ.
std::vector<std::int32_t> documents(const AttentionShape& s) {
    const std::vector<std::vector<std::int32_t>> begins{{64, 128}, {1, 63, 65}, {}};
    std::vector<std::int32_t> first(at(s.sequence * s.batch));
    for (std::int64_t t = 0; t < s.sequence; ++t)
        for (std::int64_t sample = 0; sample < s.batch; ++sample)
            for (const std::int32_t begin : begins[at(sample % 3)])
                if (begin <= t) first[at(t * s.batch + sample)] = begin;
    return first;
}

// Results. Each `_size` is the sum of the absolute values of the terms that the result is the sum of.
struct Expected {
    Doubles o, o_size, lse, dqkv, dqkv_size;
    double score_size = 0.0;  // largest Σ |q k| / √head_dim
};

// One query of one head: positions of its numbers, and its softmax.
class Query {
public:
    Query(const AttentionShape& s, std::int64_t position, std::int64_t sample, std::int64_t head)
        : s_(s), sample_(sample), group_(head / (s.heads / s.kv_heads)) {
        const std::int64_t queries = s.heads / s.kv_heads;
        row = position * s.batch + sample;
        q = row * s.qkv_columns() + (group_ * (queries + 2) + head % queries) * s.head_dim;
        o = (row * s.heads + head) * s.head_dim;
        lse = (sample * s.heads + head) * s.sequence + position;
    }
    std::int64_t key(std::int64_t u) const {
        const std::int64_t queries = s_.heads / s_.kv_heads;
        return (u * s_.batch + sample_) * s_.qkv_columns() + (group_ * (queries + 2) + queries) * s_.head_dim;
    }
    std::int64_t value(std::int64_t u) const { return key(u) + s_.head_dim; }

    std::int64_t row, q, o, lse;

private:
    const AttentionShape& s_;
    std::int64_t sample_, group_;
};

Doubles softmax(const Query& query, const Doubles& x, const AttentionShape& s, std::int64_t first, std::int64_t last,
                Expected& out) {
    Doubles p(at(last + 1), 0.0);
    double most = -INFINITY, sum = 0.0;
    for (std::int64_t u = first; u <= last; ++u) {
        double size = 0.0;
        for (std::int64_t e = 0; e < s.head_dim; ++e) {
            const double term = x[at(query.q + e)] * x[at(query.key(u) + e)] / std::sqrt(double(s.head_dim));
            p[at(u)] += term;
            size += std::abs(term);
        }
        out.score_size = std::max(out.score_size, size);
        most = std::max(most, p[at(u)]);
    }
    for (std::int64_t u = first; u <= last; ++u) sum += p[at(u)] = std::exp(p[at(u)] - most);
    for (double& value : p) value /= sum;
    out.lse[at(query.lse)] = most + std::log(sum);
    return p;
}

void backward_of_query(const Query& query, const Doubles& p, const Doubles& x, const Doubles& d_o,
                       const AttentionShape& s, std::int64_t first, Expected& out) {
    double delta = 0.0, delta_size = 0.0;
    for (std::int64_t e = 0; e < s.head_dim; ++e) {
        delta += d_o[at(query.o + e)] * out.o[at(query.o + e)];
        delta_size += std::abs(d_o[at(query.o + e)]) * out.o_size[at(query.o + e)];
    }
    const double scale = 1.0 / std::sqrt(double(s.head_dim));
    const auto add = [&](std::int64_t i, double value, double size) {
        out.dqkv[at(i)] += value;
        out.dqkv_size[at(i)] += size;
    };
    for (std::int64_t u = first; u < std::int64_t(p.size()); ++u) {
        double dp = 0.0, dp_size = 0.0;
        for (std::int64_t e = 0; e < s.head_dim; ++e) {
            const double d = d_o[at(query.o + e)];
            dp += d * x[at(query.value(u) + e)];
            dp_size += std::abs(d * x[at(query.value(u) + e)]);
            add(query.value(u) + e, p[at(u)] * d, p[at(u)] * std::abs(d));
        }
        const double ds = scale * p[at(u)] * (dp - delta);
        const double ds_size = scale * p[at(u)] * (dp_size + delta_size);
        for (std::int64_t e = 0; e < s.head_dim; ++e) {
            const double q = x[at(query.q + e)], k = x[at(query.key(u) + e)];
            add(query.q + e, ds * k, ds_size * std::abs(k));
            add(query.key(u) + e, ds * q, ds_size * std::abs(q));
        }
    }
}

Expected expect(const AttentionShape& s, const Doubles& x, const Doubles& d_o, const std::vector<std::int32_t>& first) {
    Expected out;
    out.o.assign(d_o.size(), 0.0);
    out.o_size.assign(d_o.size(), 0.0);
    out.lse.assign(at(s.batch * s.heads * s.sequence), 0.0);
    out.dqkv.assign(x.size(), 0.0);
    out.dqkv_size.assign(x.size(), 0.0);
    for (std::int64_t t = 0; t < s.sequence; ++t)
        for (std::int64_t sample = 0; sample < s.batch; ++sample)
            for (std::int64_t head = 0; head < s.heads; ++head) {
                const Query query(s, t, sample, head);
                std::int64_t begin = first[at(query.row)];
                if (s.window > 0) begin = std::max(begin, t - s.window + 1);
                const Doubles p = softmax(query, x, s, begin, t, out);
                for (std::int64_t u = begin; u <= t; ++u)
                    for (std::int64_t e = 0; e < s.head_dim; ++e) {
                        out.o[at(query.o + e)] += p[at(u)] * x[at(query.value(u) + e)];
                        out.o_size[at(query.o + e)] += p[at(u)] * std::abs(x[at(query.value(u) + e)]);
                    }
                backward_of_query(query, p, x, d_o, s, begin, out);
            }
    return out;
}

// Tensors of one case, and a context that has exactly the scratch that the plan promises, full of NaN.
struct AttentionRun {
    AttentionRun(const AttentionShape& shape, Dtype dtype, double size, int threads = 2)
        : s(shape),
          qkv(dtype, {s.sequence * s.batch, s.qkv_columns()}, scaled(s.sequence * s.batch * s.qkv_columns(), size, 1)),
          d_o(dtype, {s.sequence * s.batch, s.heads * s.head_dim},
              random_values(s.sequence * s.batch * s.heads * s.head_dim, 2)),
          o(dtype, {s.sequence * s.batch, s.heads * s.head_dim}),
          lse(Dtype::fp32, {s.batch * s.heads, s.sequence}),
          dqkv(dtype, {s.sequence * s.batch, s.qkv_columns()}),
          first(documents(shape)),
          context(threads, poisoned_scratch(scratch_bytes(plan(shape, dtype, threads)))) {}

    static Doubles scaled(std::int64_t count, double size, unsigned seed) {
        Doubles values = random_values(count, seed);
        for (double& x : values) x *= size;
        return values;
    }
    static ScratchShape plan(const AttentionShape& s, Dtype dtype, int threads) {
        return {.tokens = s.sequence * s.batch,
                .columns = 1,
                .attention = s,
                .dtype = dtype,
                .threads = threads,
                .device = test_device};
    }
    OwnedTensor segments() const { return view(first); }
    void forward(Tensor segment_begin) {
        attention(context, {.o = o, .lse = lse, .qkv = qkv, .shape = s, .segment_begin = segment_begin});
    }
    void backward(Tensor segment_begin) {
        attention_backward(
            context,
            {.dqkv = dqkv, .d_o = d_o, .o = o, .lse = lse, .qkv = qkv, .shape = s, .segment_begin = segment_begin});
    }

    AttentionShape s;
    OwnedTensor qkv, d_o, o, lse, dqkv;
    std::vector<std::int32_t> first;
    Context context;
};

// Relative error of a softmax weight, from its score: the dot product's head_dim roundings and the exponent's own, both
// times the score's size; an exponential good to two units; a sum of at most `sequence` terms; rescalings.
double softmax_error(const AttentionShape& s, double score_size) {
    return unit_roundoff(Dtype::fp32) * (double(s.head_dim + 8) * score_size + double(s.sequence) + 16.0);
}

void check(const AttentionShape& s, Dtype dtype, double size, bool with_documents) {
    SCOPED_TRACE(fmt::format("{} sequence {} batch {} heads {}/{} of {}, window {}, size {}{}", dtype_name(dtype),
                             s.sequence, s.batch, s.heads, s.kv_heads, s.head_dim, s.window, size,
                             with_documents ? ", documents" : ""));
    AttentionRun run(s, dtype, size);
    if (!with_documents) std::fill(run.first.begin(), run.first.end(), 0);
    // With documents, every tile is masked: the window's own masks count without them.
    const OwnedTensor zeros = run.segments();
    const Tensor segments = s.window > 0 && !with_documents ? Tensor{} : zeros.tensor();
    run.forward(segments);
    run.backward(segments);
    const Expected expected = expect(s, run.qkv.values(), run.d_o.values(), run.first);
    const double u = unit_roundoff(Dtype::fp32), stored = unit_roundoff(dtype);
    // Twice: weights are wrong in the numerator and in the sum that they are divided by.
    const double error = 2.0 * softmax_error(s, expected.score_size);
    // A GPU's tensor cores take the weights, and the scores' gradients, in the dtype of the tensors.
    const double rounded = test_device == Device::cuda ? stored : 0.0;
    for (std::int64_t i = 0; i < run.o.tensor().elements(); ++i)
        ASSERT_NEAR(run.o.at(i), expected.o[at(i)],
                    (error + rounded) * expected.o_size[at(i)] + stored * std::abs(run.o.at(i)))
            << "o " << i;
    for (std::int64_t i = 0; i < run.lse.tensor().elements(); ++i)
        ASSERT_NEAR(run.lse.at(i), expected.lse[at(i)], error + 2.0 * u * std::abs(expected.lse[at(i)])) << "lse " << i;
    // delta is taken from o as stored. Sums over keys and head_dim on the way add as many roundings again; those over
    // the query heads of a group and all positions belong to dk and dv.
    const double sums = u * double(s.head_dim + s.sequence * (s.heads / s.kv_heads) + 16);
    // Weights below the smallest normal number are zero: as many of them as there are terms, times d_o's and v's sizes.
    const double underflow = 0x1p-126 * double(s.sequence * s.heads) * std::max(1.0, size);
    for (std::int64_t i = 0; i < run.dqkv.tensor().elements(); ++i)
        ASSERT_NEAR(run.dqkv.at(i), expected.dqkv[at(i)],
                    (error + sums + stored + rounded) * expected.dqkv_size[at(i)] + stored * std::abs(run.dqkv.at(i)) +
                        underflow)
            << "dqkv " << i;
    EXPECT_TRUE(run.o.guards_are_intact() && run.lse.guards_are_intact() && run.dqkv.guards_are_intact());
    EXPECT_EQ(run.context.scratch().used_bytes(), 0);
}

struct Heads {
    std::int64_t batch, heads, kv_heads;
};
constexpr Heads layouts[] = {{1, 2, 2}, {3, 4, 2}, {2, 3, 1}};

TEST(Attention, and_its_backward_agree_with_softmax_written_out) {
    int turn = 0;
    for (const Dtype dtype : dtypes)
        for (const std::int64_t sequence : {1, 7, 63, 64, 65, 129})
            for (const std::int64_t dim : {2, 6, 48, 64, 96, 128}) {
                const Heads h = layouts[turn % 3];
                // Half of the cases has each sequence with each dimension in one of the dtypes.
                if ((turn + turn / 6 + turn / 36) % 2 == 0 || !kernels_are_slow())
                    check({sequence, h.batch, h.heads, h.kv_heads, dim}, dtype, 1.0, false);
                ++turn;
            }
}

TEST(Attention, stays_within_documents_wherever_they_begin) {
    for (const Dtype dtype : dtypes)
        for (const std::int64_t sequence : {2, 64, 65, 66, 129, 200}) check({sequence, 3, 4, 2, 48}, dtype, 1.0, true);
}

TEST(Attention, keeps_its_precision_where_scores_are_large) {
    for (const double size : {6.0, 30.0})  // scores of some 100 and some 3000: one weight is 1, others underflow
        check({130, 2, 2, 1, 64}, Dtype::fp32, size, true);
}

TEST(Attention, without_segments_sees_every_earlier_position) {
    for (const Dtype dtype : dtypes) {
        AttentionRun with({129, 2, 4, 2, 64}, dtype, 1.0), without({129, 2, 4, 2, 64}, dtype, 1.0);
        std::fill(with.first.begin(), with.first.end(), 0);
        with.forward(with.segments());
        with.backward(with.segments());
        without.forward({});
        without.backward({});
        EXPECT_EQ(with.o.bytes(), without.o.bytes());
        EXPECT_EQ(with.lse.bytes(), without.lse.bytes());
        EXPECT_EQ(with.dqkv.bytes(), without.dqkv.bytes());
    }
}

// Around the tiles' sizes: 16, 32, 64 and 128 rows.
TEST(Attention, stays_within_the_window_and_the_document) {
    int turn = 0;
    for (const Dtype dtype : dtypes)
        for (const std::int64_t window : {1, 2, 31, 32, 33, 63, 64, 65, 130, 199, 200}) {
            const std::int64_t dims[] = {48, 6, 64, 96, 128};
            const Heads h = layouts[turn % 3];
            if (turn % 2 == 0 || !kernels_are_slow())  // else each window with one dtype
                check({200, h.batch, h.heads, h.kv_heads, dims[turn % 5], window}, dtype, 1.0, turn / 2 % 2 == 0);
            ++turn;
        }
    for (const std::int64_t sequence : {257, 300}) check({sequence, 1, 2, 1, 48, 70}, Dtype::bf16, 1.0, false);
    check({130, 2, 2, 1, 64, 20}, Dtype::fp32, 30.0, true);
}

TEST(Attention, with_a_window_of_the_whole_sequence_has_the_bits_of_full_attention) {
    for (const Dtype dtype : dtypes)
        for (const std::int64_t window : {150, 1000}) {
            AttentionRun full({150, 1, 4, 2, 64}, dtype, 1.0), windowed({150, 1, 4, 2, 64, window}, dtype, 1.0);
            for (AttentionRun* run : {&full, &windowed}) {
                run->forward(run->segments());
                run->backward(run->segments());
            }
            EXPECT_EQ(full.o.bytes(), windowed.o.bytes());
            EXPECT_EQ(full.lse.bytes(), windowed.lse.bytes());
            EXPECT_EQ(full.dqkv.bytes(), windowed.dqkv.bytes());
        }
}

// Rows [begin, end) of x, [rows, columns], become NaN.
void spoil(OwnedTensor& x, std::int64_t columns, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * columns; i < end * columns; ++i) x.set(i, std::nan(""));
}
bool rows_are_finite(const OwnedTensor& x, std::int64_t columns, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * columns; i < end * columns; ++i)
        if (!std::isfinite(x.at(i))) return false;
    return true;
}

// A masked weight is 0, and 0 · NaN is NaN: only tiles that are left out hide a NaN.
TEST(Attention, leaves_out_tiles_outside_the_window) {
    for (const Dtype dtype : dtypes)
        for (const std::int64_t dim : {48, 64, 128}) {
            SCOPED_TRACE(fmt::format("{} head_dim {}", dtype_name(dtype), dim));
            const AttentionShape s{300, 1, 2, 1, dim, 20};
            const std::int64_t q = s.qkv_columns(), width = s.heads * dim;
            AttentionRun early(s, dtype, 1.0), late(s, dtype, 1.0);
            spoil(early.qkv, q, 0, 64);
            early.forward({});
            early.backward({});
            EXPECT_TRUE(rows_are_finite(early.o, width, 128, 300));
            EXPECT_TRUE(rows_are_finite(early.dqkv, q, 128, 300));
            OwnedTensor last(dtype, {1, width});
            attention_last(early.context, last, early.qkv, s);
            EXPECT_TRUE(rows_are_finite(last, width, 0, 1));

            spoil(late.qkv, q, 256, 300);
            late.forward({});
            spoil(late.d_o, width, 256, 300);
            late.backward({});
            EXPECT_TRUE(rows_are_finite(late.dqkv, q, 0, 128));
        }
}

TEST(Attention, gives_the_same_bits_for_one_to_four_threads) {
    for (const Dtype dtype : dtypes) {
        const AttentionShape s{150, 3, 6, 2, 48};
        std::vector<std::vector<std::byte>> one;
        for (int threads = 1; threads <= most_threads(); ++threads) {
            AttentionRun run(s, dtype, 1.0, threads);
            run.forward(run.segments());
            run.backward(run.segments());
            const std::vector<std::vector<std::byte>> bytes{run.o.bytes(), run.lse.bytes(), run.dqkv.bytes()};
            if (threads == 1) one = bytes;
            EXPECT_TRUE(bytes == one) << threads << " threads";
        }
    }
}

// The last position of each sample, from a context with exactly the planned scratch; against softmax written out.
void check_last(const AttentionShape& s, Dtype dtype, double size) {
    SCOPED_TRACE(fmt::format("{} sequence {} batch {} heads {}/{} of {}, window {}, size {}", dtype_name(dtype),
                             s.sequence, s.batch, s.heads, s.kv_heads, s.head_dim, s.window, size));
    AttentionRun run(s, dtype, size);
    const std::int64_t columns = s.heads * s.head_dim;
    OwnedTensor o(dtype, {s.batch, columns});
    attention_last(run.context, o, run.qkv, s);
    const std::vector<std::int32_t> one_document(at(s.sequence * s.batch), 0);
    const Expected expected = expect(s, run.qkv.values(), run.d_o.values(), one_document);
    const double error = 2.0 * softmax_error(s, expected.score_size);
    for (std::int64_t i = 0; i < s.batch * columns; ++i) {
        const std::int64_t row = (s.sequence - 1) * s.batch * columns + i;
        ASSERT_NEAR(o.at(i), expected.o[at(row)],
                    error * expected.o_size[at(row)] + unit_roundoff(dtype) * std::abs(o.at(i)))
            << i;
    }
    EXPECT_TRUE(o.guards_are_intact());
    EXPECT_EQ(run.context.scratch().used_bytes(), 0);
}

TEST(AttentionLast, agrees_with_softmax_written_out) {
    int turn = 0;
    for (const Dtype dtype : dtypes)
        for (const std::int64_t sequence : {1, 2, 3, 4, 5, 63, 64, 65, 130})
            for (const std::int64_t dim : {2, 6, 34, 48, 64, 128}) {
                const Heads h = layouts[turn % 3];
                if ((turn + turn / 6) % 2 == 0 || !kernels_are_slow())
                    check_last({sequence, h.batch, h.heads, h.kv_heads, dim}, dtype, 1.0);
                ++turn;
            }
}

TEST(AttentionLast, stays_within_the_window) {
    for (const Dtype dtype : dtypes)
        for (const std::int64_t window : {1, 2, 64, 65, 129, 130, 500})
            for (const std::int64_t dim : {6, 64}) check_last({130, 2, 3, 1, dim, window}, dtype, 1.0);
}

TEST(AttentionLast, keeps_its_precision_where_scores_are_large) {
    for (const double size : {6.0, 30.0}) check_last({130, 2, 2, 1, 64}, Dtype::fp32, size);
}

TEST(AttentionLast, gives_the_same_bits_for_one_to_four_threads) {
    const AttentionShape s{150, 3, 6, 2, 48};
    for (const Dtype dtype : dtypes) {
        std::vector<std::byte> one;
        for (int threads = 1; threads <= most_threads(); ++threads) {
            AttentionRun run(s, dtype, 1.0, threads);
            OwnedTensor o(dtype, {s.batch, s.heads * s.head_dim});
            attention_last(run.context, o, run.qkv, s);
            if (threads == 1) one = o.bytes();
            EXPECT_TRUE(o.bytes() == one) << threads << " threads";
        }
    }
}

TEST(AttentionLast, names_what_does_not_fit) {
    AttentionRun run({4, 1, 2, 1, 6}, Dtype::fp32, 1.0);
    try {
        attention_last(run.context, run.o, run.qkv, run.s);  // o has the rows of four positions
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "attention_last: o is fp32[4,12], qkv is fp32[4,24]");
    }
}

// A position's result does not depend on what comes after it, to the bit: what makes cached generation possible.
TEST(Attention, of_a_prefix_is_the_prefix_of_attention) {
    AttentionRun whole({129, 1, 2, 2, 48}, Dtype::fp32, 1.0), part({70, 1, 2, 2, 48}, Dtype::fp32, 1.0);
    whole.forward({});
    part.forward({});
    for (std::int64_t i = 0; i < part.o.tensor().elements(); ++i) ASSERT_EQ(part.o.at(i), whole.o.at(i)) << i;
}

std::string message_of_backward(AttentionRun& run, Tensor dqkv, AttentionShape s) {
    try {
        attention_backward(run.context,
                           {.dqkv = dqkv, .d_o = run.d_o, .o = run.o, .lse = run.lse, .qkv = run.qkv, .shape = s});
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

TEST(Attention, names_what_does_not_fit) {
    AttentionRun run({4, 1, 2, 1, 6}, Dtype::fp32, 1.0);
    const std::string refused =
        "attention_backward: dqkv is fp32[4,24], d_o is fp32[4,12], o is fp32[4,12], lse is fp32[2,4], "
        "qkv is fp32[4,24], segment_begin is absent";
    EXPECT_EQ(message_of_backward(run, run.qkv, run.s), refused);
    EXPECT_EQ(message_of_backward(run, run.dqkv, {4, 1, 2, 2, 6}), refused);
    EXPECT_EQ(message_of_backward(run, run.dqkv, {4, 1, 4, 0, 6}), refused);  // and no division by zero
    EXPECT_EQ(message_of_backward(run, run.dqkv, {4, 1, 6, 1, 3}), refused);  // no pairs to rotate
    EXPECT_EQ(message_of_backward(run, run.dqkv, {4, 1, 2, 1, 6, -1}), refused);
    const AttentionArgs unfit{.o = run.o, .lse = run.lse, .qkv = run.qkv, .shape = {4, 1, 2, 2, 6}};
    EXPECT_THROW(attention(run.context, unfit), Error);
}

}  // namespace
}  // namespace gpas
