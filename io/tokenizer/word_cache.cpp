#include "io/tokenizer/word_cache.hpp"

#include "base/hash.hpp"

#include <algorithm>
#include <cstring>

namespace gpas {
namespace {

constexpr std::size_t cache_slots = 1 << 15;

}  // namespace

WordCache::WordCache() : slots_(cache_slots) {}

WordCache::Slot& WordCache::slot(std::string_view word) { return slots_[hash_of(word) & (cache_slots - 1)]; }

bool WordCache::holds(const Slot& slot, std::string_view word) {
    return slot.bytes == word.size() && std::memcmp(slot.word, word.data(), word.size()) == 0;
}

void WordCache::store(Slot& slot, std::string_view word, std::span<const std::int32_t> ids) {
    if (ids.size() > Slot::most_ids) return;
    slot.bytes = std::uint8_t(word.size());
    slot.count = std::uint8_t(ids.size());
    std::copy(word.begin(), word.end(), slot.word);
    std::copy(ids.begin(), ids.end(), slot.ids);
}

}  // namespace gpas
