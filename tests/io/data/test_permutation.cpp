#include "io/data/permutation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

namespace gpas::test {
namespace {

std::vector<std::int64_t> all(const Permutation& order) {
    std::vector<std::int64_t> result;
    for (std::int64_t i = 0; i < order.size(); ++i) result.push_back(order(i));
    return result;
}

// What a chi-square variable of k degrees exceeds with a probability below e^-x (Laurent and Massart, Annals of
// Statistics 28 (2000), lemma 1); x = 14 is one in a million, and the keys here are fixed.
double chi_square_bound(double k, double x = 14) { return k + 2 * std::sqrt(k * x) + 2 * x; }

double chi_square(const std::vector<std::int64_t>& counts, double expected) {
    double sum = 0;
    for (const std::int64_t count : counts) sum += (double(count) - expected) * (double(count) - expected) / expected;
    return sum;
}

TEST(Permutation, HitsEveryElementOnceForSizesOfAllKinds) {
    std::vector<std::int64_t> sizes{31, 97, 127, 128, 129, 1023, 1024, 1025, 7919, 65536, 65537, 1000000};
    for (std::int64_t n = 1; n <= 30; ++n) sizes.push_back(n);
    for (const std::int64_t n : sizes) {
        for (const std::uint64_t epoch : {0, 1, 7}) {
            std::vector<bool> seen(std::size_t(n), false);
            const Permutation order(n, 1234, 0, epoch);
            for (std::int64_t i = 0; i < n; ++i) {
                const std::int64_t place = order(i);
                ASSERT_TRUE(place >= 0 && place < n) << n;
                ASSERT_FALSE(seen[std::size_t(place)]) << n << " hits " << place << " twice";
                seen[std::size_t(place)] = true;
            }
        }
    }
}

TEST(Permutation, StaysInRangeForSizesThatNoMemoryHolds) {
    for (const std::int64_t n : {(std::int64_t(1) << 62), (std::int64_t(1) << 62) - 1, (std::int64_t(1) << 40) + 15}) {
        const Permutation order(n, 5, 0, 0);
        for (const std::int64_t i : {std::int64_t(0), std::int64_t(1), n / 2, n - 2, n - 1}) {
            EXPECT_GE(order(i), 0);
            EXPECT_LT(order(i), n);
        }
    }
}

// A change here changes the data order of every run that is resumed.
TEST(Permutation, KeepsItsOrderFromReleaseToRelease) {
    EXPECT_EQ(all(Permutation(10, 1234, 0, 0)), (std::vector<std::int64_t>{1, 6, 5, 7, 3, 0, 8, 2, 4, 9}));
    EXPECT_EQ(Permutation(1000000007, 1234, 3, 2)(123456789), 772626496);
}

TEST(Permutation, DiffersByEpochStreamAndSeedLikeUnrelatedOrders) {
    const std::int64_t n = 10000;
    const auto base = all(Permutation(n, 1, 0, 0));
    for (const auto& other :
         {all(Permutation(n, 1, 0, 1)), all(Permutation(n, 1, 1, 0)), all(Permutation(n, 2, 0, 0))}) {
        std::int64_t equal = 0;
        for (std::size_t i = 0; i < base.size(); ++i) equal += base[i] == other[i];
        EXPECT_LE(equal, 12);  // Poisson with mean 1: 13 or more with a probability below 1e-10
    }
}

TEST(Permutation, SendsEachElementEverywhereEquallyOften) {
    const std::int64_t n = 13, keys = 13000;
    std::vector<std::vector<std::int64_t>> counts(std::size_t(n), std::vector<std::int64_t>(std::size_t(n), 0));
    for (std::int64_t key = 0; key < keys; ++key) {
        const Permutation order(n, 99, 0, std::uint64_t(key));
        for (std::int64_t i = 0; i < n; ++i) ++counts[std::size_t(i)][std::size_t(order(i))];
    }
    for (const auto& row : counts)
        EXPECT_LT(chi_square(row, double(keys) / double(n)), chi_square_bound(double(n - 1)));
}

TEST(Permutation, ReachesEveryOrderOfAFewElementsEquallyOften) {
    for (const std::int64_t n : {2, 3, 4, 5}) {
        std::map<std::vector<std::int64_t>, std::int64_t> seen;
        std::int64_t orders = 1;
        for (std::int64_t i = 2; i <= n; ++i) orders *= i;
        const std::int64_t keys = orders * 500;
        for (std::int64_t key = 0; key < keys; ++key) ++seen[all(Permutation(n, std::uint64_t(key), 0, 0))];
        std::vector<std::int64_t> counts;
        for (const auto& [order, count] : seen) counts.push_back(count);
        counts.resize(std::size_t(orders), 0);
        EXPECT_LT(chi_square(counts, 500), chi_square_bound(double(orders - 1))) << n;
    }
}

TEST(Permutation, SpreadsNeighboursOverTheWholeRange) {
    const std::int64_t n = 1000000, buckets = 50;
    std::vector<std::int64_t> positions(std::size_t(buckets * buckets), 0), pairs(std::size_t(buckets * buckets), 0);
    const Permutation order(n, 3, 0, 0);
    const auto bucket = [&](std::int64_t i) { return i * buckets / n; };
    for (std::int64_t i = 0; i < n; ++i) {
        ++positions[std::size_t(bucket(i) * buckets + bucket(order(i)))];
        ++pairs[std::size_t(bucket(order(i)) * buckets + bucket(order((i + 1) % n)))];
    }
    const double expected = double(n) / double(buckets * buckets);
    EXPECT_LT(chi_square(positions, expected), chi_square_bound(double((buckets - 1) * (buckets - 1))));
    EXPECT_LT(chi_square(pairs, expected), chi_square_bound(double((buckets - 1) * (buckets - 1))));
}

}  // namespace
}  // namespace gpas::test
