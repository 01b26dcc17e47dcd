#include "io/data/indexed_dataset.hpp"

#include "base/error.hpp"
#include "base/hash.hpp"
#include "io/data/indexed_format.hpp"
#include "io/data/missing_dataset.hpp"
#include "io/data/workers.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

namespace gpas {
namespace {

namespace format = indexed_format;

template <class T>
T load(const unsigned char* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

template <class T>
void read_as(const unsigned char* source, std::int64_t count, std::int32_t* out, std::int64_t stride) {
    for (std::int64_t i = 0; i < count; ++i) {
        const T value = load<T>(source + i * std::int64_t(sizeof(T)));
        out[i * stride] = std::in_range<std::int32_t>(value) ? std::int32_t(value) : -1;
    }
}

TokenDtype parse_dtype(const std::string& path, std::uint8_t code) {
    switch (code) {
        case 1:
        case 2:
        case 3:
        case 4:
        case 5:
        case 8: return TokenDtype(code);
        case 6:
        case 7:
            fail(ExitCode::bad_file, "{}: byte {}: dtype code {} means {}, which cannot store token ids", path,
                 format::dtype_at, code, code == 6 ? "float64" : "float32");
        default:
            fail(ExitCode::bad_file,
                 "{}: byte {}: dtype code {} is unknown (1 uint8, 2 int8, 3 int16, 4 int32, 5 int64, "
                 "8 uint16)",
                 path, format::dtype_at, code);
    }
}

}  // namespace

std::int64_t token_bytes(TokenDtype dtype) {
    switch (dtype) {
        case TokenDtype::uint8:
        case TokenDtype::int8: return 1;
        case TokenDtype::int16:
        case TokenDtype::uint16: return 2;
        case TokenDtype::int32: return 4;
        case TokenDtype::int64: return 8;
    }
    fail(ExitCode::internal, "token dtype {} is unknown", int(dtype));
}

TokenDtype token_dtype_for(std::int64_t vocab_size) {
    return vocab_size < 65500 ? TokenDtype::uint16 : TokenDtype::int32;
}

IndexedDataset::IndexedDataset(std::string prefix)
    : prefix_((check_dataset_exists(prefix), std::move(prefix))), index_(prefix_ + ".idx"), data_(prefix_ + ".bin") {
    read_header();
    check_sequences();
    check_documents();
}

void IndexedDataset::read_header() {
    const std::string& path = index_.path();
    const std::int64_t size = index_.size_bytes();
    const unsigned char* bytes = index_.data();
    const std::int64_t seen = std::min<std::int64_t>(size, sizeof format::magic);
    if (seen == 0 || std::memcmp(bytes, format::magic, std::size_t(seen)) != 0) {
        fail(ExitCode::bad_file, "{}: is not a Megatron token index: its first bytes are not MMIDIDX", path);
    }
    if (size < format::header_bytes) {
        fail(ExitCode::bad_file, "{}: ends at byte {}, inside its header of {} bytes", path, size,
             format::header_bytes);
    }
    if (const auto version = load<std::uint64_t>(bytes + format::version_at); version != format::version) {
        fail(ExitCode::bad_file, "{}: byte {}: version {} is unknown, expected {}", path, format::version_at, version,
             format::version);
    }
    dtype_ = parse_dtype(path, bytes[format::dtype_at]);

    // Counts are compared with the size of the file before they are multiplied, so that a damaged count cannot
    // overflow.
    const auto sequences = load<std::uint64_t>(bytes + format::sequences_at);
    const auto entries = load<std::uint64_t>(bytes + format::document_index_at);
    const std::uint64_t room = std::uint64_t(size - format::header_bytes);
    if (sequences > room / 12) {
        fail(ExitCode::bad_file, "{}: byte {}: {} sequences do not fit into a file of {} bytes", path,
             format::sequences_at, sequences, size);
    }
    if (entries < 1 || entries > room / 8) {
        fail(ExitCode::bad_file, "{}: byte {}: a document index of {} entries {} a file of {} bytes", path,
             format::document_index_at, entries, entries < 1 ? "is too short for" : "does not fit into", size);
    }
    const auto expected = format::header_bytes + 12 * std::int64_t(sequences) + 8 * std::int64_t(entries);
    // A file may also have one mode byte per sequence at its end.
    if (size != expected && size != expected + std::int64_t(sequences)) {
        fail(ExitCode::bad_file, "{}: has {} bytes, but {} sequences and {} document entries take {}: it is {}", path,
             size, sequences, entries, expected,
             size < expected ? "cut off" : "followed by bytes that do not belong to it");
    }
    sequences_ = std::int64_t(sequences);
    documents_ = std::int64_t(entries) - 1;
}

void IndexedDataset::check_sequences() {
    const std::int64_t item = token_bytes(dtype_);
    const unsigned char* lengths = index_.data() + format::header_bytes;
    std::int64_t offset = 0;  // never beyond the end of .bin, so it cannot overflow
    for (std::int64_t i = 0; i < sequences_; ++i) {
        const auto length = load<std::int32_t>(lengths + 4 * i);
        if (length < 0) {
            fail(ExitCode::bad_file, "{}: byte {}: sequence {} has the length {}", index_.path(),
                 format::header_bytes + 4 * i, i, length);
        }
        if (pointer(i) != offset) {
            fail(ExitCode::bad_file,
                 "{}: byte {}: sequence {} begins at byte {} of the .bin file, expected {} (the sum "
                 "of the lengths before it)",
                 index_.path(), format::header_bytes + 4 * sequences_ + 8 * i, i, pointer(i), offset);
        }
        if (length * item > data_.size_bytes() - offset) {
            fail(ExitCode::bad_file,
                 "{}: has {} bytes, but sequence {} of {} ends at byte {}: the two files do not belong "
                 "together, or one is cut off",
                 data_.path(), data_.size_bytes(), i, index_.path(), offset + length * item);
        }
        offset += length * item;
    }
    if (offset != data_.size_bytes()) {
        fail(ExitCode::bad_file,
             "{}: has {} bytes, but {} describes {} tokens of {} bytes = {} bytes: the two files do "
             "not belong together",
             data_.path(), data_.size_bytes(), index_.path(), offset / item, item, offset);
    }
    tokens_ = offset / item;
}

void IndexedDataset::check_documents() const {
    const std::int64_t array_at = format::header_bytes + 12 * sequences_;
    std::int64_t previous = 0;
    for (std::int64_t k = 0; k <= documents_; ++k) {
        const std::int64_t entry = document_sequence(k);
        if (entry < previous || (k == 0 && entry != 0) || entry > sequences_) {
            fail(ExitCode::bad_file, "{}: byte {}: document {} begins at sequence {}, expected {} to {}", index_.path(),
                 array_at + 8 * k, k, entry, previous, k == 0 ? 0 : sequences_);
        }
        previous = entry;
    }
    if (previous != sequences_) {
        fail(ExitCode::bad_file, "{}: byte {}: the document index ends at sequence {}, expected {}", index_.path(),
             array_at + 8 * documents_, previous, sequences_);
    }
}

std::int64_t IndexedDataset::pointer(std::int64_t sequence) const {
    return load<std::int64_t>(index_.data() + format::header_bytes + 4 * sequences_ + 8 * sequence);
}

std::int64_t IndexedDataset::document_sequence(std::int64_t k) const {
    return load<std::int64_t>(index_.data() + format::header_bytes + 12 * sequences_ + 8 * k);
}

std::int64_t IndexedDataset::document_begin(std::int64_t k) const {
    const std::int64_t sequence = document_sequence(k);
    return sequence == sequences_ ? tokens_ : pointer(sequence) / token_bytes(dtype_);
}

std::int64_t IndexedDataset::document_of(std::int64_t token) const {
    std::int64_t low = 0, high = documents_;  // begin(low) <= token < begin(high)
    while (high - low > 1) {
        const std::int64_t middle = low + (high - low) / 2;
        (document_begin(middle) <= token ? low : high) = middle;
    }
    return low;
}

void IndexedDataset::read(std::int64_t first, std::int64_t count, std::int32_t* out, std::int64_t stride) const {
    require(first >= 0 && count >= 0 && count <= tokens_ - first, "{}: tokens [{}, {}) read of {}", prefix_, first,
            first + count, tokens_);
    const unsigned char* source = data_.data() + first * token_bytes(dtype_);
    switch (dtype_) {
        case TokenDtype::uint8: return read_as<std::uint8_t>(source, count, out, stride);
        case TokenDtype::int8: return read_as<std::int8_t>(source, count, out, stride);
        case TokenDtype::int16: return read_as<std::int16_t>(source, count, out, stride);
        case TokenDtype::int32: return read_as<std::int32_t>(source, count, out, stride);
        case TokenDtype::int64: return read_as<std::int64_t>(source, count, out, stride);
        case TokenDtype::uint16: return read_as<std::uint16_t>(source, count, out, stride);
    }
}

void IndexedDataset::check_ids(std::int64_t vocab_size, std::int64_t threads, std::int64_t max_tokens) const {
    if (tokens_ == 0) return;
    constexpr std::int64_t block = 1 << 16;
    const std::int64_t all_blocks = (tokens_ + block - 1) / block;
    std::int64_t blocks = all_blocks;
    if (max_tokens > 0) blocks = std::min(blocks, std::max<std::int64_t>(2, max_tokens / block));
    std::vector<std::int64_t> bad(std::size_t(std::max<std::int64_t>(blocks, 1)), -1);
    run_on_workers(threads, blocks, [&](std::int64_t i) {
        // Evenly spaced blocks, always including the first and the last block.
        const std::int64_t chosen =
            blocks == all_blocks ? i : std::int64_t(double(i) * double(all_blocks - 1) / double(blocks - 1));
        const std::int64_t begin = chosen * block;
        const std::int64_t count = std::min(block, tokens_ - begin);
        std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
        read(begin, count, ids.data());
        const auto found =
            std::find_if(ids.begin(), ids.end(), [&](std::int32_t id) { return id < 0 || id >= vocab_size; });
        if (found != ids.end()) bad[std::size_t(i)] = begin + (found - ids.begin());
    });
    for (const std::int64_t token : bad) {
        if (token >= 0) fail_bad_id(token, vocab_size);
    }
}

void IndexedDataset::fail_bad_id(std::int64_t token, std::int64_t vocab_size) const {
    const std::int64_t item = token_bytes(dtype_);
    std::int64_t id = 0;
    if (dtype_ == TokenDtype::int64) {
        id = load<std::int64_t>(data_.data() + token * item);
    } else {
        std::int32_t narrow = 0;
        read(token, 1, &narrow);
        id = narrow;
    }
    fail(ExitCode::bad_file,
         "{}: byte {}: token {} has the id {}, outside the vocabulary of {}: set model.vocab_size to the tokenizer's "
         "number of pieces, or use data prepared for this model",
         data_.path(), token * item, token, id, vocab_size);
}

std::uint64_t IndexedDataset::fingerprint() const {
    constexpr std::int64_t blocks = 64, block_bytes = 1 << 16;
    StreamingHash hash;
    hash.add(index_.data(), std::size_t(index_.size_bytes()));
    const std::int64_t size = data_.size_bytes();
    hash.add(&size, sizeof size);
    if (size <= blocks * block_bytes) {
        hash.add(data_.data(), std::size_t(size));
    } else {
        for (std::int64_t i = 0; i < blocks; ++i) {
            const std::int64_t begin = (size - block_bytes) / (blocks - 1) * i;
            const std::int64_t place = i == blocks - 1 ? size - block_bytes : begin;
            hash.add(data_.data() + place, std::size_t(block_bytes));
        }
    }
    return hash.value();
}

}  // namespace gpas
