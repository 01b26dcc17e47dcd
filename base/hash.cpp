#include "base/hash.hpp"

#include <new>

#include <xxhash.h>

namespace gpas {

std::uint64_t hash_of(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::uint64_t hash_of(std::string_view bytes, std::uint64_t seed) {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

StreamingHash::StreamingHash() : state_(XXH3_createState(), [](XXH3_state_s* state) { XXH3_freeState(state); }) {
    if (!state_) throw std::bad_alloc();
    XXH3_64bits_reset(state_.get());
}

void StreamingHash::add(const void* data, std::size_t bytes) { XXH3_64bits_update(state_.get(), data, bytes); }

std::uint64_t StreamingHash::value() const { return XXH3_64bits_digest(state_.get()); }

}  // namespace gpas
