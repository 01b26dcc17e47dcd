#include "io/data/text_reader.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace gpas {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

}  // namespace

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos; }

TextReader::TextReader(std::vector<TextInput> files, const Options& options, const TextPosition& start)
    : files_(std::move(files)), options_(options), position_(start) {
    for (std::int64_t i = 0; i < position_.file; ++i) {
        stored_bytes_before_ += files_[std::size_t(i)].stored_bytes;
    }
}

void TextReader::open() {
    const TextInput& input = files_[std::size_t(position_.file)];
    file_ = input.stream ? input.stream : std::make_shared<TextFile>(input.path);
    file_->skip(position_.offset);
    buffer_.clear();
    if (position_.offset > 0) return;
    fill(std::int64_t(byte_order_mark.size()));
    if (std::string_view(buffer_).substr(0, byte_order_mark.size()) == byte_order_mark) {
        buffer_.erase(0, byte_order_mark.size());
        position_.offset += std::int64_t(byte_order_mark.size());
    }
}

// Reads until the buffer contains `bytes` bytes. Returns false if the file ends before.
bool TextReader::fill(std::int64_t bytes) {
    while (std::int64_t(buffer_.size()) < bytes) {
        const std::size_t had = buffer_.size();
        buffer_.resize(std::size_t(bytes));
        const std::int64_t got = file_->read(buffer_.data() + had, bytes - std::int64_t(had));
        buffer_.resize(had + std::size_t(got));
        if (got == 0) return false;
    }
    return true;
}

bool TextReader::next(TextUnit& unit) {
    if (position_.file >= std::int64_t(files_.size())) return false;
    unit.file = position_.file;
    unit.records.clear();
    if (options_.documents == DocumentMode::parquet) return next_row_group(unit);
    if (!file_) open();
    std::size_t taken = 0;
    bool at_end = false;
    for (std::int64_t bytes = options_.unit_bytes; taken == 0 && !at_end; bytes *= 2) {
        if (bytes > options_.longest_record_bytes && bytes > options_.unit_bytes) {
            if (options_.skip_long_lines) {
                taken = skip_long_line(unit, at_end);
                break;
            }
            fail(ExitCode::bad_file, "{}:{}: no end of the {} within {} bytes", files_[std::size_t(unit.file)].name(),
                 position_.line, options_.may_cut ? "line" : "document", buffer_.size());
        }
        at_end = !fill(bytes);
        taken = cut(unit, at_end);
    }
    unit.text = buffer_.substr(0, taken);
    buffer_.erase(0, taken);
    position_.line += std::count(unit.text.begin(), unit.text.end(), '\n');
    position_.offset += std::int64_t(taken);
    if (at_end) {
        stored_bytes_before_ += file_->stored_bytes();
        file_.reset();
        position_ = {position_.file + 1, 0, 1, false};
    }
    unit.next = position_;
    unit.stored_bytes_done = stored_bytes_before_ + (file_ ? file_->consumed_bytes() : 0);
    return true;
}

bool TextReader::next_row_group(TextUnit& unit) {
    const TextInput& input = files_[std::size_t(position_.file)];
    if (!parquet_) parquet_ = std::make_shared<const ParquetFile>(input.path, options_.columns);
    const std::int64_t groups = parquet_->row_groups();
    unit.text.clear();
    unit.parquet = position_.offset < groups ? parquet_ : nullptr;
    unit.row_group = position_.offset;
    unit.first_row = position_.line;
    if (unit.parquet) position_.line += parquet_->rows(position_.offset++);
    unit.stored_bytes_done = stored_bytes_before_;
    if (position_.offset < groups) {
        unit.stored_bytes_done += input.stored_bytes * position_.offset / groups;
    } else {
        parquet_.reset();
        position_ = {position_.file + 1, 0, 1, false};
        unit.stored_bytes_done = stored_bytes_before_ += input.stored_bytes;
    }
    unit.next = position_;
    return true;
}

void load_row_group(TextUnit& unit) {
    if (!unit.parquet) return;
    std::vector<ParquetRow> rows;
    unit.parquet->read(unit.row_group, unit.text, rows);
    std::int64_t row = unit.first_row;
    for (const ParquetRow& entry : rows)
        unit.records.push_back({.begin = entry.begin, .end = entry.end, .line = row++, .missing = entry.missing});
    unit.parquet.reset();
}

// Skips text up to the next newline or the end of the file, without keeping all of it in memory.
std::size_t TextReader::skip_long_line(TextUnit& unit, bool& at_end) {
    unit.records.push_back({0, 0, position_.line, true, true});
    for (bool more = true;; more = fill(options_.unit_bytes)) {
        const std::size_t newline = buffer_.find('\n');
        at_end = newline == std::string::npos && !more;
        if (at_end) return buffer_.size();
        if (newline != std::string::npos) return newline + 1;
        position_.offset += std::int64_t(buffer_.size());
        buffer_.clear();
    }
}

// Finds the records at the beginning of the buffer, and returns their length in bytes; 0: more text is needed.
std::size_t TextReader::cut(TextUnit& unit, bool at_end) {
    switch (options_.documents) {
        case DocumentMode::file: return cut_file(unit, at_end);
        case DocumentMode::blank_line: return cut_blank_lines(unit, at_end);
        case DocumentMode::line:
        case DocumentMode::jsonl: return cut_lines(unit, at_end);
        case DocumentMode::parquet: break;  // next_row_group()
    }
    fail(ExitCode::internal, "document mode {} is unknown", int(options_.documents));
}

std::size_t TextReader::cut_lines(TextUnit& unit, bool at_end) const {
    std::size_t at = 0;
    for (std::int64_t line = position_.line; at < buffer_.size(); ++line) {
        std::size_t end = buffer_.find('\n', at);
        if (end == std::string::npos && !at_end) break;
        end = std::min(end, buffer_.size());
        const std::size_t text_end = end > at && buffer_[end - 1] == '\r' ? end - 1 : end;
        if (text_end > at) unit.records.push_back({at, text_end, line, true});
        at = std::min(end + 1, buffer_.size());
    }
    return at;
}

std::size_t TextReader::cut_file(TextUnit& unit, bool at_end) {
    if (at_end) {
        if (!buffer_.empty() || position_.inside_document)
            unit.records.push_back({0, buffer_.size(), position_.line, true});
        return buffer_.size();
    }
    const std::size_t newline = options_.may_cut ? buffer_.rfind('\n') : std::string::npos;
    if (newline == std::string::npos || newline == 0) return 0;
    unit.records.push_back({0, newline, position_.line, false});
    position_.inside_document = true;
    return newline;
}

// If the position is inside a document, the buffer begins with the newline between the last record and a line that is
// not blank. The cut at the end of this function guarantees this, because it cuts only before a line that is not blank.
std::size_t TextReader::cut_blank_lines(TextUnit& unit, bool at_end) {
    constexpr std::size_t none = std::string::npos;
    bool inside = position_.inside_document;
    std::size_t begin = inside ? 0 : none, end = 0;  // of the text of the open document so far
    std::size_t safe_cut = none;  // end of the open document's last line that is followed by another of its lines
    std::int64_t begin_line = position_.line, line = position_.line + (inside ? 1 : 0);
    std::size_t at = inside ? 1 : 0;
    const auto end_document = [&] {
        if (end > begin && buffer_[end - 1] == '\r') --end;
        unit.records.push_back({begin, end, begin_line, true});
        begin = safe_cut = none;
        inside = false;
    };
    for (; at < buffer_.size(); ++line) {
        std::size_t stop = buffer_.find('\n', at);
        if (stop == none && !at_end) break;
        stop = std::min(stop, buffer_.size());
        if (!is_blank(std::string_view(buffer_).substr(at, stop - at))) {
            if (begin == none) {
                begin = at;
                begin_line = line;
            } else if (end > begin) {
                safe_cut = end;
            }
            end = stop;
        } else if (begin != none) {
            end_document();
        }
        at = std::min(stop + 1, buffer_.size());
    }
    if (at_end) {
        if (begin != none) end_document();
        return buffer_.size();
    }
    if (begin == none) {
        position_.inside_document = false;
        return at;
    }
    if (!unit.records.empty()) {  // the next unit begins with the open document
        position_.inside_document = false;
        return begin;
    }
    if (!options_.may_cut || safe_cut == none) return 0;
    unit.records.push_back({begin, safe_cut, begin_line, false});
    position_.inside_document = true;
    return safe_cut;
}

}  // namespace gpas
