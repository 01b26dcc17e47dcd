// Byte layout of an .idx file, shared by reader and writer. All integers are little-endian and unaligned.
#pragma once

#include <bit>
#include <cstdint>

namespace gpas::indexed_format {

static_assert(std::endian::native == std::endian::little, "token files are little-endian, and so must the machine be");

inline constexpr unsigned char magic[9] = {'M', 'M', 'I', 'D', 'I', 'D', 'X', 0, 0};
inline constexpr std::uint64_t version = 1;
inline constexpr std::int64_t version_at = 9;          // uint64
inline constexpr std::int64_t dtype_at = 17;           // uint8
inline constexpr std::int64_t sequences_at = 18;       // uint64 S
inline constexpr std::int64_t document_index_at = 26;  // uint64 D = documents + 1
inline constexpr std::int64_t header_bytes = 34;  // then int32 lengths[S], int64 byte offsets[S], int64 documents[D]

}  // namespace gpas::indexed_format
