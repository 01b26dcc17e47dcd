// matmul, matmul_dx, matmul_dw against sums in double precision.
#include "base/error.hpp"
#include "kernels/ops.hpp"
#include "tests/support/owned_tensor.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace gpas {
namespace {

using test_support::OwnedTensor;
using test_support::poisoned_scratch;
using test_support::random_values;
using test_support::unit_roundoff;

struct ProductShape {
    std::int64_t tokens, out, in;
};

// Usual sizes, several blocks of rows and of columns, and sizes that nothing divides.
const ProductShape product_shapes[] = {{1, 1, 1},    {7, 3, 5},       {64, 48, 32},   {129, 43, 1368}, {513, 65, 17},
                                       {1, 700, 64}, {1025, 31, 130}, {43, 5461, 16}, {16, 8200, 3},   {640, 96, 200}};

// Sums of `length` products in fp32, in any order, with or without fused multiply-add: |error| ≤ length · u · Σ|a||b|
// up to terms of order u². bf16 products are exact in fp32. Then one rounding on storing.
class Comparison {
public:
    Comparison(const OwnedTensor& got, std::int64_t length) : got_(got), length_(double(length)) {}
    void expect(std::int64_t i, double sum, double magnitude) const {
        const double bound = 1.01 * length_ * unit_roundoff(Dtype::fp32) * magnitude;
        const double stored = unit_roundoff(got_.tensor().dtype) * (std::abs(sum) + bound);
        ASSERT_LE(std::abs(got_.at(i) - sum), bound + stored)
            << "element " << i << ": " << got_.at(i) << ", not " << sum;
    }

private:
    const OwnedTensor& got_;
    double length_;
};

struct Sum {
    double value = 0.0;
    double magnitude = 0.0;
    void add(double a, double b) {
        value += a * b;
        magnitude += std::abs(a * b);
    }
};

Context product_context(int threads) { return Context(threads, poisoned_scratch(1 << 16)); }

void check_forward(ProductShape s, Dtype in, Dtype out) {
    SCOPED_TRACE(fmt::format("{}[{},{}] x {}[{},{}]", dtype_name(in), s.tokens, s.in, dtype_name(out), s.out, s.in));
    const OwnedTensor x(in, {s.tokens, s.in}, random_values(s.tokens * s.in, 1));
    const OwnedTensor w(in, {s.out, s.in}, random_values(s.out * s.in, 2));
    const OwnedTensor y(out, {s.tokens, s.out});
    Context context = product_context(2);
    matmul(context, y, x, w);
    EXPECT_TRUE(y.guards_are_intact());
    const auto xs = x.values();
    const auto ws = w.values();
    const Comparison comparison(y, s.in);
    for (std::int64_t t = 0; t < s.tokens; ++t)
        for (std::int64_t n = 0; n < s.out; ++n) {
            Sum sum;
            for (std::int64_t k = 0; k < s.in; ++k)
                sum.add(xs[std::size_t(t * s.in + k)], ws[std::size_t(n * s.in + k)]);
            ASSERT_NO_FATAL_FAILURE(comparison.expect(t * s.out + n, sum.value, sum.magnitude));
        }
}

void check_dx(ProductShape s, Dtype dtype) {
    SCOPED_TRACE(fmt::format("{} tokens {} out {} in {}", dtype_name(dtype), s.tokens, s.out, s.in));
    const OwnedTensor dy(dtype, {s.tokens, s.out}, random_values(s.tokens * s.out, 3));
    const OwnedTensor w(dtype, {s.out, s.in}, random_values(s.out * s.in, 4));
    const OwnedTensor dx(dtype, {s.tokens, s.in});
    Context context = product_context(2);
    matmul_dx(context, dx, dy, w);
    EXPECT_TRUE(dx.guards_are_intact());
    const auto ds = dy.values();
    const auto ws = w.values();
    const Comparison comparison(dx, s.out);
    for (std::int64_t t = 0; t < s.tokens; ++t)
        for (std::int64_t k = 0; k < s.in; ++k) {
            Sum sum;
            for (std::int64_t n = 0; n < s.out; ++n)
                sum.add(ds[std::size_t(t * s.out + n)], ws[std::size_t(n * s.in + k)]);
            ASSERT_NO_FATAL_FAILURE(comparison.expect(t * s.in + k, sum.value, sum.magnitude));
        }
}

void check_dw(ProductShape s, Dtype dtype) {
    SCOPED_TRACE(fmt::format("{} tokens {} out {} in {}", dtype_name(dtype), s.tokens, s.out, s.in));
    const OwnedTensor dy(dtype, {s.tokens, s.out}, random_values(s.tokens * s.out, 5));
    const OwnedTensor x(dtype, {s.tokens, s.in}, random_values(s.tokens * s.in, 6));
    const auto before = random_values(s.out * s.in, 7);
    const OwnedTensor dw(Dtype::fp32, {s.out, s.in}, before);
    Context context = product_context(2);
    matmul_dw(context, dw, dy, x);
    EXPECT_TRUE(dw.guards_are_intact());
    const auto ds = dy.values();
    const auto xs = x.values();
    const Comparison comparison(dw, s.tokens + 1);
    for (std::int64_t n = 0; n < s.out; ++n)
        for (std::int64_t k = 0; k < s.in; ++k) {
            Sum sum;
            sum.add(double(float(before[std::size_t(n * s.in + k)])), 1.0);
            for (std::int64_t t = 0; t < s.tokens; ++t)
                sum.add(ds[std::size_t(t * s.out + n)], xs[std::size_t(t * s.in + k)]);
            ASSERT_NO_FATAL_FAILURE(comparison.expect(n * s.in + k, sum.value, sum.magnitude));
        }
}

TEST(Matmul, IsTheSumOfProductsInFp32) {
    for (const ProductShape& s : product_shapes) check_forward(s, Dtype::fp32, Dtype::fp32);
}

TEST(Matmul, OfBf16IsSummedInFp32AndRoundedOnce) {
    for (const ProductShape& s : product_shapes) check_forward(s, Dtype::bf16, Dtype::bf16);
}

TEST(Matmul, OfBf16WritesFp32LogitsWithoutRounding) {
    for (const ProductShape& s : product_shapes) check_forward(s, Dtype::bf16, Dtype::fp32);
}

TEST(MatmulDx, IsTheGradientOfTheInput) {
    for (const ProductShape& s : product_shapes) check_dx(s, Dtype::fp32);
    for (const ProductShape& s : product_shapes) check_dx(s, Dtype::bf16);
}

TEST(MatmulDw, AddsTheGradientOfTheWeightToWhatIsThere) {
    for (const ProductShape& s : product_shapes) check_dw(s, Dtype::fp32);
    for (const ProductShape& s : product_shapes) check_dw(s, Dtype::bf16);
}

struct Results {
    OwnedTensor y, dx, dw;
};

Results all_products(ProductShape s, Dtype dtype, int threads) {
    Context context = product_context(threads);
    const OwnedTensor x(dtype, {s.tokens, s.in}, random_values(s.tokens * s.in, 1));
    const OwnedTensor w(dtype, {s.out, s.in}, random_values(s.out * s.in, 2));
    const OwnedTensor dy(dtype, {s.tokens, s.out}, random_values(s.tokens * s.out, 3));
    Results r{OwnedTensor(dtype, {s.tokens, s.out}), OwnedTensor(dtype, {s.tokens, s.in}),
              OwnedTensor(Dtype::fp32, {s.out, s.in}, random_values(s.out * s.in, 4))};
    matmul(context, r.y, x, w);
    matmul_dx(context, r.dx, dy, w);
    matmul_dw(context, r.dw, dy, x);
    matmul_dw(context, r.dw, dy, x);
    return r;
}

TEST(Matmul, GivesTheSameBitsForOneToFourThreads) {
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16}) {
        for (const ProductShape s : {ProductShape{2048, 512, 512}, ProductShape{1027, 1536, 43},
                                     ProductShape{300, 5461, 65}, ProductShape{5, 2736, 512}}) {
            const Results one = all_products(s, dtype, 1);
            for (int threads = 2; threads <= 4; ++threads) {
                SCOPED_TRACE(fmt::format("{} tokens {} out {} in {}, {} threads", dtype_name(dtype), s.tokens, s.out,
                                         s.in, threads));
                const Results many = all_products(s, dtype, threads);
                EXPECT_TRUE(one.y.bytes() == many.y.bytes());
                EXPECT_TRUE(one.dx.bytes() == many.dx.bytes());
                EXPECT_TRUE(one.dw.bytes() == many.dw.bytes());
            }
        }
    }
}

TEST(Matmul, TakesNoMoreScratchThanPlanned) {
    ScratchShape plan;
    plan.tokens = 1027;
    plan.columns = 2736;
    plan.threads = 3;
    plan.device = test_support::test_device;
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16}) {
        plan.dtype = dtype;
        Context context(plan.threads, test_support::device_arena(scratch_bytes(plan)));
        const OwnedTensor x(dtype, {1027, 512}, random_values(1027 * 512, 1));
        const OwnedTensor w(dtype, {2736, 512}, random_values(2736 * 512, 2));
        const OwnedTensor y(dtype, {1027, 2736});
        const OwnedTensor dx(dtype, {1027, 512});
        const OwnedTensor dw(Dtype::fp32, {2736, 512}, random_values(2736 * 512, 3));
        EXPECT_NO_THROW(matmul(context, y, x, w));
        EXPECT_NO_THROW(matmul_dx(context, dx, y, w));
        EXPECT_NO_THROW(matmul_dw(context, dw, y, x));
        EXPECT_EQ(context.scratch().used_bytes(), 0);
    }
}

std::string message_of(Context& context, Tensor y, Tensor x, Tensor w) {
    try {
        matmul(context, y, x, w);
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

TEST(Matmul, NamesTheTensorsThatDoNotFit) {
    Context context = product_context(1);
    const OwnedTensor x(Dtype::fp32, {4, 6});
    const OwnedTensor y(Dtype::fp32, {4, 5});
    const OwnedTensor w(Dtype::fp32, {5, 7});
    EXPECT_EQ(message_of(context, y, x, w), "matmul: y is fp32[4,5], x is fp32[4,6], w is fp32[5,7]");
    const OwnedTensor half(Dtype::bf16, {5, 6});
    EXPECT_EQ(message_of(context, y, x, half), "matmul: y is fp32[4,5], x is fp32[4,6], w is bf16[5,6]");
    EXPECT_EQ(message_of(context, y, x, Tensor()), "matmul: y is fp32[4,5], x is fp32[4,6], w is absent");
}

}  // namespace
}  // namespace gpas
