// Remembers the token ids of words that occurred before. Not thread-safe: one per thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gpas {

// 32768 slots of 64 bytes, 2 MiB. A word may take the slot of another word.
class WordCache {
public:
    WordCache();

    struct Slot {
        static constexpr std::size_t most_bytes = 30;
        static constexpr std::size_t most_ids = 8;
        std::uint8_t bytes = 0;  // 0: empty
        std::uint8_t count = 0;
        char word[most_bytes] = {};
        std::int32_t ids[most_ids] = {};
    };

    static bool fits(std::string_view word) { return !word.empty() && word.size() <= Slot::most_bytes; }
    // The slot for a word that fits(). It contains the word if holds(slot, word).
    Slot& slot(std::string_view word);
    static bool holds(const Slot& slot, std::string_view word);
    // Stores the word, unless it has too many ids.
    static void store(Slot& slot, std::string_view word, std::span<const std::int32_t> ids);

private:
    std::vector<Slot> slots_;
};

}  // namespace gpas
