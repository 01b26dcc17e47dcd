// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
#pragma once

#include <array>
#include <cstdint>

namespace gpas {

using Philox4 = std::array<std::uint32_t, 4>;

// Four random 32-bit words for a 128-bit counter and a 64-bit key. Equal arguments give equal words.
inline Philox4 philox(Philox4 counter, std::uint32_t key0, std::uint32_t key1) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t a = std::uint64_t(0xD2511F53U) * counter[0];
        const std::uint64_t b = std::uint64_t(0xCD9E8D57U) * counter[2];
        counter = {std::uint32_t(b >> 32) ^ counter[1] ^ key0, std::uint32_t(b),
                   std::uint32_t(a >> 32) ^ counter[3] ^ key1, std::uint32_t(a)};
        key0 += 0x9E3779B9U;
        key1 += 0xBB67AE85U;
    }
    return counter;
}

}  // namespace gpas
