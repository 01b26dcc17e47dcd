// Vector clocks of one virtual GPU, for the happens-before relation: which operations are guaranteed to have ended
// before another one begins.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace gpas::virtual_gpu {

inline constexpr int most_streams = 64;  // streams that exist at the same time on one GPU

// One operation: a stream, and the operation's number in that stream, from 1. Number 0: before all operations.
struct Moment {
    std::uint32_t bits = 0;  // upper 6 bits: stream; lower 26 bits: number
    Moment() = default;
    Moment(int stream, std::uint32_t number) : bits(std::uint32_t(stream) << 26 | number) {}
    int stream() const { return int(bits >> 26); }
    std::uint32_t number() const { return bits & 0x3ffffffU; }
    bool operator==(const Moment&) const = default;
};

// A vector clock: for each stream, the number of the last operation that is known to have ended.
class Clock {
public:
    // Whether the operation is known to have ended.
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
