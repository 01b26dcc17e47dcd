// Vector clocks of one virtual GPU: which operation is sure to have ended before another begins.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace gpas::virtual_gpu {

inline constexpr int most_streams = 64;  // that exist at the same time on one GPU

// The number-th operation of a stream, from 1. Number 0: before all operations.
struct Moment {
    std::uint32_t bits = 0;  // stream in the upper 6, number in the lower 26
    Moment() = default;
    Moment(int stream, std::uint32_t number) : bits(std::uint32_t(stream) << 26 | number) {}
    int stream() const { return int(bits >> 26); }
    std::uint32_t number() const { return bits & 0x3ffffffU; }
    bool operator==(const Moment&) const = default;
};

// Of each stream, the last operation that is known to be over.
class Clock {
public:
    bool covers(Moment moment) const { return numbers_[std::size_t(moment.stream())] >= moment.number(); }
    void add(Moment moment) {
        std::uint32_t& number = numbers_[std::size_t(moment.stream())];
        number = std::max(number, moment.number());
    }
    void join(const Clock& other) {
        for (std::size_t i = 0; i < numbers_.size(); ++i) numbers_[i] = std::max(numbers_[i], other.numbers_[i]);
    }

private:
    std::array<std::uint32_t, most_streams> numbers_{};
};

}  // namespace gpas::virtual_gpu
