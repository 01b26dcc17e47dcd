// Text files as a stream of documents in units of about a megabyte: what one thread can encode on its own. Memory is
// bounded by the unit, the longest line, and, where documents may not be cut, the longest document.
#pragma once

#include "io/data/text_file.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

enum class DocumentMode {
    file,        // a whole file
    line,        // each line that is not empty, without its end
    blank_line,  // what stands between blank lines (only white space), without the last line's end
    jsonl,       // each line is a JSON object; the text is one of its strings
};

// A place between two units. The same inputs read from there give the same rest.
struct TextPosition {
    std::int64_t file = 0;
    std::int64_t offset = 0;  // in the uncompressed text
    std::int64_t line = 1;
    bool inside_document = false;
};

struct TextRecord {
    std::size_t begin = 0, end = 0;  // in TextUnit::text
    std::int64_t line = 1;           // of its first byte
    bool ends_document = true;       // false: the next record, in a later unit, goes on with the document
};

struct TextUnit {
    std::int64_t file = 0;
    std::string text;
    std::vector<TextRecord> records;
    TextPosition next;
    std::int64_t stored_bytes_done = 0;  // of all files up to `next`, as they lie on disk
};

class TextReader {
public:
    struct Options {
        DocumentMode documents = DocumentMode::file;
        bool may_cut = true;  // documents longer than a unit come in several records, cut in front of a newline
        std::int64_t unit_bytes = 1 << 20;
    };

    TextReader(std::vector<std::string> files, const Options& options, const TextPosition& start = {});

    bool next(TextUnit& unit);  // false at the end; a unit may have no records
    const std::vector<std::string>& files() const { return files_; }

private:
    void open();
    bool fill(std::int64_t bytes);
    std::size_t cut(TextUnit& unit, bool at_end);
    std::size_t cut_lines(TextUnit& unit, bool at_end) const;
    std::size_t cut_file(TextUnit& unit, bool at_end);
    std::size_t cut_blank_lines(TextUnit& unit, bool at_end);

    std::vector<std::string> files_;
    Options options_;
    TextPosition position_;
    std::unique_ptr<TextFile> file_;
    std::string buffer_;  // text from position_ on
    std::int64_t stored_bytes_before_ = 0;
};

// Files as they are, folders recursively with their files in byte order of the path (hidden ones left out). Fails with
// ExitCode::bad_file for names that do not exist and for folders without files.
std::vector<std::string> list_text_files(const std::vector<std::string>& inputs);

}  // namespace gpas
