// Which source the k-th training sample comes from, and the how-manieth sample of that source it is: a weighted
// interleave without state. Weights are brought to integers p_d with sum P (exactly where a P <= 65536 fits, so 0.7/0.3
// or 3:1 stay what they are; else to the nearest 1/65536, never below one). One period of P samples is laid out by
// Tijdeman's rule for the chairman assignment problem (Discrete Mathematics 32 (1980) 323-330), which keeps, for every
// prefix of k samples and every source, |count_d - k p_d / P| <= 1 - 1/(2 sources - 2) < 1; then the period repeats.
#pragma once

#include <cstdint>
#include <vector>

namespace gpas {

class Blend {
public:
    struct Place {
        std::int64_t source = 0;
        std::int64_t index = 0;  // how many samples of this source came before
    };

    // Positive finite weights, at most 1024 of them; fails with ExitCode::usage otherwise.
    explicit Blend(const std::vector<double>& weights);

    Place operator()(std::int64_t k) const;  // O(1)
    std::int64_t period() const { return std::int64_t(pattern_.size()); }
    const std::vector<std::int64_t>& shares() const { return shares_; }  // p_d: samples of each source in a period

private:
    struct Slot {
        std::int32_t source;
        std::int32_t before;  // slots of this source earlier in the period
    };
    void lay_out();

    std::vector<std::int64_t> shares_;
    std::vector<Slot> pattern_;
};

}  // namespace gpas
