#include "io/tokenizer/merge_table.hpp"

#include <bit>

namespace gpas {

MergeTable::MergeTable(std::size_t merges) {
    const std::size_t size = std::bit_ceil(2 * merges + 2);  // at most half full: short searches
    slots_.resize(size);
    mask_ = size - 1;
    shift_ = 64 - std::countr_zero(size);
}

void MergeTable::add(std::int32_t left, std::int32_t right, Merge merge) {
    const std::uint64_t key = key_of(left, right);
    std::size_t at = slot_of(key);
    while (slots_[at].key != empty && slots_[at].key != key) at = (at + 1) & mask_;
    slots_[at] = {key, merge};
}

}  // namespace gpas
