// The inputs of `gpas prepare`: which files they are, and what a document is in them.
#pragma once

#include "io/data/text_file.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

enum class DocumentMode {
    file,        // a whole file
    line,        // each line that is not empty, without its end
    blank_line,  // what stands between blank lines (only white space), without the last line's end
    jsonl,       // each line is a JSON object; the text is one of its strings
};

struct TextInput {
    std::string path;                  // "-": standard input
    std::int64_t stored_bytes = 0;     // 0 for a stream
    std::string unpack;                // "gzip -dc" or "zstd -dc"; empty if it is not compressed
    std::shared_ptr<TextFile> stream;  // a pipe, a FIFO, standard input: opened once, read once
    std::string shown_as;              // in messages, if not the path

    bool compressed() const { return !unpack.empty(); }
    std::string name() const;  // for messages
};

struct TextInputs {
    std::vector<TextInput> files;
    DocumentMode documents = DocumentMode::file;
    std::vector<std::string> notices;  // what was concluded from names and content, one line each
};

// Opens each input and recognises what it is from its name and its first bytes. Without `documents` the mode is jsonl
// for JSON lines and file for plain text. Fails in one line, with the file and what to do, for what does not exist, for
// content that is not UTF-8 text (foreign_kind), for JSON that is not JSON lines, and, without `documents`, for inputs
// that differ in kind.
TextInputs open_inputs(const std::vector<std::string>& inputs, std::optional<DocumentMode> documents,
                       const std::string& json_key);

// Files as they are, folders recursively with their files in byte order of the path (hidden ones left out). Fails with
// ExitCode::bad_file for names that do not exist, for folders without files, and for links to folders inside folders.
std::vector<std::string> list_text_files(const std::vector<std::string>& inputs);

}  // namespace gpas
