// Reads text files as a stream of documents, in units of about a megabyte, or of a row group of a Parquet file. Threads
// encode units independently. Memory is bounded by the size of a unit, the longest line and, if documents may not be
// cut, the longest document.
#pragma once

#include "io/data/parquet_file.hpp"
#include "io/data/text_input.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gpas {

// A position between two units. Reading the same inputs from it gives the same remaining units.
struct TextPosition {
    std::int64_t file = 0;
    std::int64_t offset = 0;  // byte of the file's uncompressed text, or number of a row group
    std::int64_t line = 1;    // number of the line or row at `offset`
    bool inside_document = false;
};

struct TextRecord {
    std::size_t begin = 0, end = 0;  // the record is bytes [begin, end) of TextUnit::text
    std::int64_t line = 1;           // line number in the file of the record's first byte
    bool ends_document = true;       // false: the document continues in the next record, in a later unit
    bool too_long = false;           // a line longer than longest_record_bytes; its text is left out
    bool missing = false;            // a text of a row of a Parquet file is null
};

struct TextUnit {
    std::int64_t file = 0;
    std::string text;
    std::vector<TextRecord> records;
    TextPosition next;
    std::int64_t stored_bytes_done = 0;  // bytes on disk (compressed) of all files up to `next`

    // A unit of a Parquet file has neither text nor records until load_row_group() is called.
    std::shared_ptr<const ParquetFile> parquet;
    std::int64_t row_group = 0, first_row = 1;
};

// Reads text and records of a unit of a Parquet file; does nothing for other units. Thread-safe for different units.
// Error(bad_file) if the data are damaged.
void load_row_group(TextUnit& unit);

bool is_blank(std::string_view line);  // nothing but white space

class TextReader {
public:
    struct Options {
        DocumentMode documents = DocumentMode::file;
        bool may_cut = true;  // split a document longer than a unit into several records, each cut before a newline
        std::int64_t unit_bytes = 1 << 20;
        // Error(bad_file) for a longer line, and for a longer document that may not be cut.
        std::int64_t longest_record_bytes = std::int64_t(1) << 31;
        bool skip_long_lines = false;  // jsonl: a longer line becomes a record with too_long instead of an error
        std::string columns = {};      // parquet: the columns of the text, separated by commas
    };

    // `start` must not be inside a stream, because a stream can be read from its beginning only.
    TextReader(std::vector<TextInput> files, const Options& options, const TextPosition& start = {});

    // unit = the next unit, which may have no records. Returns false at the end. Error(bad_file) as TextFile::read.
    bool next(TextUnit& unit);
    const std::vector<TextInput>& files() const { return files_; }

private:
    bool next_row_group(TextUnit& unit);
    void open();
    bool fill(std::int64_t bytes);
    std::size_t skip_long_line(TextUnit& unit, bool& at_end);
    std::size_t cut(TextUnit& unit, bool at_end);
    std::size_t cut_lines(TextUnit& unit, bool at_end) const;
    std::size_t cut_file(TextUnit& unit, bool at_end);
    std::size_t cut_blank_lines(TextUnit& unit, bool at_end);

    std::vector<TextInput> files_;
    Options options_;
    TextPosition position_;
    std::shared_ptr<TextFile> file_;
    std::shared_ptr<const ParquetFile> parquet_;
    std::string buffer_;  // text from position_ on
    std::int64_t stored_bytes_before_ = 0;
};

}  // namespace gpas
