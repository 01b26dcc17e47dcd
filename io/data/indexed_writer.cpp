#include "io/data/indexed_writer.hpp"

#include "base/error.hpp"
#include "io/data/indexed_format.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace gpas {
namespace {

namespace format = indexed_format;

constexpr std::int64_t block_entries = 1 << 14;

template <class T>
std::int64_t pack_as(std::span<const std::int32_t> ids, char* out) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (!std::in_range<T>(ids[i])) return std::int64_t(i);
        const T value = T(ids[i]);
        std::memcpy(out + i * sizeof(T), &value, sizeof value);
    }
    return -1;
}

// Returns the position of the first id that the dtype cannot hold, or -1.
std::int64_t pack(TokenDtype dtype, std::span<const std::int32_t> ids, char* out) {
    switch (dtype) {
        case TokenDtype::uint8: return pack_as<std::uint8_t>(ids, out);
        case TokenDtype::int8: return pack_as<std::int8_t>(ids, out);
        case TokenDtype::int16: return pack_as<std::int16_t>(ids, out);
        case TokenDtype::int32: return pack_as<std::int32_t>(ids, out);
        case TokenDtype::int64: return pack_as<std::int64_t>(ids, out);
        case TokenDtype::uint16: return pack_as<std::uint16_t>(ids, out);
    }
    fail(ExitCode::internal, "token dtype {} is unknown", int(dtype));
}

std::string partial(const std::string& prefix, const char* extension) { return prefix + extension + ".partial"; }

}  // namespace

IndexedDatasetWriter::IndexedDatasetWriter(std::string prefix, TokenDtype dtype)
    : prefix_(std::move(prefix)),
      dtype_(dtype),
      data_(std::make_unique<OutputFile>(partial(prefix_, ".bin"), OutputFile::Mode::create)),
      index_(std::make_unique<OutputFile>(partial(prefix_, ".idx"), OutputFile::Mode::create)) {
    const std::array<char, format::header_bytes> empty_header{};
    index_->write(empty_header.data(), format::header_bytes);
}

IndexedDatasetWriter::IndexedDatasetWriter(std::string prefix, TokenDtype dtype, const Mark& mark)
    : prefix_(std::move(prefix)),
      dtype_(dtype),
      data_(std::make_unique<OutputFile>(partial(prefix_, ".bin"), OutputFile::Mode::resume)),
      index_(std::make_unique<OutputFile>(partial(prefix_, ".idx"), OutputFile::Mode::resume)),
      tokens_(mark.tokens),
      documents_(mark.documents),
      open_tokens_(mark.open_tokens),
      keep_partial_(true) {
    const std::int64_t data_bytes = tokens_ * token_bytes(dtype_);
    const std::int64_t index_bytes = format::header_bytes + 4 * documents_;
    for (const auto& [file, bytes] : {std::pair{data_.get(), data_bytes}, std::pair{index_.get(), index_bytes}}) {
        if (file->size_bytes() < bytes) {
            fail(ExitCode::bad_file, "{}: has {} bytes, but {} were written before the interruption", file->path(),
                 file->size_bytes(), bytes);
        }
        file->truncate(bytes);
    }
    std::vector<char> block(1 << 20);
    for (std::int64_t at = 0; at < data_bytes; at += std::int64_t(block.size())) {
        const std::int64_t count = std::min(data_bytes - at, std::int64_t(block.size()));
        data_->read_at(at, block.data(), count);
        checksum_.add(block.data(), std::size_t(count));
    }
    if (checksum_.value() != mark.checksum) {
        fail(ExitCode::bad_file, "{}: its first {} bytes are not those written before the interruption", data_->path(),
             data_bytes);
    }
    check_lengths();
}

void IndexedDatasetWriter::check_lengths() {
    std::int64_t sum = open_tokens_;
    for_each_length([&](std::int32_t length) { sum += length; });
    if (sum != tokens_) {
        fail(ExitCode::bad_file,
             "{}: its document lengths add up to {} tokens, {} were written before the interruption", index_->path(),
             sum, tokens_);
    }
}

template <class Visit>
void IndexedDatasetWriter::for_each_length(Visit&& visit) {
    std::vector<std::int32_t> lengths(block_entries);
    for (std::int64_t first = 0; first < documents_; first += block_entries) {
        const std::int64_t count = std::min(documents_ - first, block_entries);
        index_->read_at(format::header_bytes + 4 * first, lengths.data(), 4 * count);
        for (std::int64_t i = 0; i < count; ++i) visit(lengths[std::size_t(i)]);
    }
}

IndexedDatasetWriter::~IndexedDatasetWriter() {
    if (finished_ || keep_partial_) return;
    ::unlink(data_->path().c_str());
    ::unlink(index_->path().c_str());
}

void IndexedDatasetWriter::append(std::span<const std::int32_t> ids) {
    while (!ids.empty()) {
        const std::size_t count = std::min(ids.size(), std::size_t(block_entries));
        append_block(ids.first(count));
        ids = ids.subspan(count);
    }
}

void IndexedDatasetWriter::append_block(std::span<const std::int32_t> ids) {
    if (open_tokens_ > std::numeric_limits<std::int32_t>::max() - std::int64_t(ids.size())) {
        fail(ExitCode::bad_file,
             "{}: document {} has more than 2147483647 tokens, which the format cannot store: split the document",
             data_->path(), documents_);
    }
    std::array<char, block_entries * 8> packed;
    if (const std::int64_t bad = pack(dtype_, ids, packed.data()); bad >= 0) {
        fail(ExitCode::internal, "{}: token id {} does not fit into dtype code {}", data_->path(),
             ids[std::size_t(bad)], int(dtype_));
    }
    const std::int64_t bytes = std::int64_t(ids.size()) * token_bytes(dtype_);
    checksum_.add(packed.data(), std::size_t(bytes));
    data_->write(packed.data(), bytes);
    tokens_ += std::int64_t(ids.size());
    open_tokens_ += std::int64_t(ids.size());
}

void IndexedDatasetWriter::end_document() {
    const auto length = std::int32_t(open_tokens_);
    index_->write(&length, sizeof length);
    open_tokens_ = 0;
    ++documents_;
}

IndexedDatasetWriter::Mark IndexedDatasetWriter::mark() {
    data_->sync();
    index_->sync();
    keep_partial_ = true;
    return {tokens_, documents_, open_tokens_, checksum_.value()};
}

void IndexedDatasetWriter::finish() {
    require(open_tokens_ == 0, "{}: finished inside a document", prefix_);
    write_index_tail();
    write_header();
    data_->sync();
    index_->sync();
    ::unlink((prefix_ + ".idx").c_str());
    rename_durably(data_->path(), prefix_ + ".bin");
    rename_durably(index_->path(), prefix_ + ".idx");
    finished_ = true;
}

// Writes the byte offsets, computed from the lengths that are already in the file, and the document index 0, 1, ...,
// documents.
void IndexedDatasetWriter::write_index_tail() {
    std::int64_t offset = 0;
    for_each_length([&](std::int32_t length) {
        index_->write(&offset, sizeof offset);
        offset += length * token_bytes(dtype_);
    });
    require(offset == tokens_ * token_bytes(dtype_), "{}: lengths add up to {} bytes, {} tokens were written", prefix_,
            offset, tokens_);
    for (std::int64_t k = 0; k <= documents_; ++k) index_->write(&k, sizeof k);
}

void IndexedDatasetWriter::write_header() {
    std::array<unsigned char, format::header_bytes> header{};
    const auto code = std::uint8_t(dtype_);
    const auto sequences = std::uint64_t(documents_), entries = std::uint64_t(documents_ + 1);
    std::memcpy(header.data(), format::magic, sizeof format::magic);
    std::memcpy(header.data() + format::version_at, &format::version, 8);
    std::memcpy(header.data() + format::dtype_at, &code, 1);
    std::memcpy(header.data() + format::sequences_at, &sequences, 8);
    std::memcpy(header.data() + format::document_index_at, &entries, 8);
    index_->write_at(0, header.data(), format::header_bytes);
}

}  // namespace gpas
