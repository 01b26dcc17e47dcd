// XXH3 hashes of 64 bits (xxhash): fast, not cryptographic. The values are the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

struct XXH3_state_s;

namespace gpas {

std::uint64_t hash_of(std::string_view bytes);
std::uint64_t hash_of(std::string_view bytes, std::uint64_t seed);

// The hash of data that arrives in parts. Its value depends on the bytes only, not on how they are divided into parts:
// it is hash_of() all bytes. Not thread-safe.
class StreamingHash {
public:
    StreamingHash();  // std::bad_alloc
    void add(const void* data, std::size_t bytes);
    std::uint64_t value() const;  // of all bytes added so far; more may be added later

private:
    std::unique_ptr<XXH3_state_s, void (*)(XXH3_state_s*)> state_;
};

}  // namespace gpas
