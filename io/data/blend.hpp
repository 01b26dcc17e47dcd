// Maps training sample k to (source, index within that source): interleaves the sources by weight, without state.
//
// The weights become integers p_d with sum P. The conversion is exact if a P <= 65536 allows it (0.7/0.3, 3:1).
// Otherwise each weight is rounded to the nearest 1/65536, and every p_d is at least 1. The order repeats after a
// period of P samples. Within a period it follows Tijdeman's rule for the chairman assignment problem (Discrete
// Mathematics 32 (1980) 323-330). For every prefix of k samples and every source d, the rule guarantees
//     |count_d - k p_d / P| <= 1 - 1/(2 sources - 2) < 1.
#pragma once

#include <cstdint>
#include <vector>

namespace gpas {

class Blend {
public:
    struct Place {
        std::int64_t source = 0;
        std::int64_t index = 0;  // number of earlier samples of this source
    };

    // Error(usage) unless there are 1 to 1024 weights, all positive and finite.
    explicit Blend(const std::vector<double>& weights);

    Place operator()(std::int64_t k) const;                                // of sample k >= 0; O(1), thread-safe
    std::int64_t period() const { return std::int64_t(pattern_.size()); }  // P
    const std::vector<std::int64_t>& shares() const { return shares_; }    // p_d: samples of each source per period

private:
    struct Slot {
        std::int32_t source;
        std::int32_t before;  // number of earlier slots of this source in the period
    };
    void lay_out();

    std::vector<std::int64_t> shares_;
    std::vector<Slot> pattern_;
};

}  // namespace gpas
