#include "base/error.hpp"
#include "data_fixtures.hpp"
#include "io/data/blend.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace gpas::test {
namespace {

std::vector<double> normalised(std::vector<double> weights) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (double& weight : weights) weight /= sum;
    return weights;
}

const std::vector<std::vector<double>> mixtures{{1},
                                                {1, 1},
                                                {0.7, 0.3},
                                                {3, 1},
                                                {0.5, 0.25, 0.125, 0.125},
                                                {1, 1, 1},
                                                {0.31, 0.29, 0.4},
                                                {98, 1, 1},
                                                {std::sqrt(2), std::sqrt(3), 1},
                                                {1e-9, 1},
                                                {1, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3}};

TEST(Blend, CountsTrackTheSharesWithinOneAtEveryPrefix) {
    for (const auto& weights : mixtures) {
        const Blend blend(weights);
        std::vector<std::int64_t> count(weights.size(), 0);
        for (std::int64_t k = 0; k < 2 * blend.period() + 10; ++k) {
            const auto [source, index] = blend(k);
            ASSERT_EQ(index, count[std::size_t(source)]++) << "each sample of a source comes once, in order";
            for (std::size_t d = 0; d < weights.size(); ++d) {
                // In integers: |count P - (k + 1) p| < P.
                const std::int64_t lag = count[d] * blend.period() - (k + 1) * blend.shares()[d];
                ASSERT_LT(std::abs(lag), blend.period()) << "source " << d << " at " << k;
            }
        }
    }
}

TEST(Blend, KeepsSimpleWeightsExactAndOthersToOnePartIn65536) {
    EXPECT_EQ(Blend({0.7, 0.3}).shares(), (std::vector<std::int64_t>{7, 3}));
    EXPECT_EQ(Blend({3, 1}).shares(), (std::vector<std::int64_t>{3, 1}));
    EXPECT_EQ(Blend({0.1, 0.2, 0.7}).shares(), (std::vector<std::int64_t>{1, 2, 7}));
    for (const auto& weights : mixtures) {
        const Blend blend(weights);
        const auto exact = normalised(weights);
        for (std::size_t d = 0; d < weights.size(); ++d) {
            const double share = double(blend.shares()[d]) / double(blend.period());
            // Largest remainder errs by less than 1; raising tiny shares to 1 takes at most 1 per source from the rest.
            EXPECT_LT(std::abs(share - exact[d]), 2.0 * double(weights.size()) / 65536);
            EXPECT_GE(blend.shares()[d], 1);
        }
    }
}

TEST(Blend, ManySourcesStayWithinOneToo) {
    std::vector<double> weights;
    for (int d = 0; d < 200; ++d) weights.push_back(1.0 / (1 + d));
    const Blend blend(weights);
    std::vector<std::int64_t> count(weights.size(), 0);
    for (std::int64_t k = 0; k < blend.period(); ++k) {
        ++count[std::size_t(blend(k).source)];
        for (std::size_t d = 0; d < weights.size(); ++d) {
            ASSERT_LT(std::abs(count[d] * blend.period() - (k + 1) * blend.shares()[d]), blend.period());
        }
    }
}

TEST(Blend, RefusesWeightsThatAreNoPositiveNumbers) {
    for (const double weight : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
        EXPECT_CONTAINS(error_of([&] { Blend({1.0, weight}); }, ExitCode::usage), "weight");
    }
    EXPECT_THROW(Blend({}), Error);
}

}  // namespace
}  // namespace gpas::test
