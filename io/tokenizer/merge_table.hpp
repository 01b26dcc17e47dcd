// The merges of a BPE tokenizer: which two neighbouring tokens become which token, and in which order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gpas {

struct Merge {
    std::int32_t rank = -1;  // lower ranks merge first; -1: the pair does not merge
    std::int32_t id = -1;    // of the merged token
};

// A hash table with open addressing. find() is thread-safe.
class MergeTable {
public:
    explicit MergeTable(std::size_t merges);  // the number of calls of add()

    void add(std::int32_t left, std::int32_t right, Merge merge);  // replaces an earlier merge of the same pair
    Merge find(std::int32_t left, std::int32_t right) const {
        const std::uint64_t key = key_of(left, right);
        for (std::size_t at = slot_of(key);; at = (at + 1) & mask_) {
            if (slots_[at].key == key) return slots_[at].merge;
            if (slots_[at].key == empty) return {};
        }
    }

private:
    static constexpr std::uint64_t empty = ~std::uint64_t(0);
    struct Slot {
        std::uint64_t key = empty;
        Merge merge;
    };
    static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
        return std::uint64_t(std::uint32_t(left)) << 32 | std::uint32_t(right);
    }
    std::size_t slot_of(std::uint64_t key) const { return (key * 0x9e3779b97f4a7c15u) >> shift_; }

    std::vector<Slot> slots_;
    std::size_t mask_ = 0;
    int shift_ = 0;
};

}  // namespace gpas
