// The inputs of `gpas prepare`: their files, and how their text divides into documents.
#pragma once

#include "io/data/text_file.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

// What a document is.
enum class DocumentMode {
    file,        // a whole file
    line,        // a line that is not empty, without its newline
    blank_line,  // the lines between two blank lines (white space only), without the last newline
    jsonl,       // a string of the JSON object on each line
    parquet,     // a text of each row of a Parquet file
};

struct TextInput {
    std::string path;                  // "-": standard input
    std::int64_t stored_bytes = 0;     // 0 for a stream
    std::string unpack;                // such as "gzip -dc"; empty if the input is not compressed
    std::shared_ptr<TextFile> stream;  // for a pipe, a FIFO or standard input, which can be read only once; else null
    std::string shown_as;              // name in messages; empty: the path

    bool compressed() const { return !unpack.empty(); }
    std::string name() const;  // for messages
};

struct TextInputs {
    std::vector<TextInput> files;
    DocumentMode documents = DocumentMode::file;
    std::vector<std::string> notices;  // conclusions from names and content, for the user; one line each
};

// Opens each input and recognises its kind by its name and its first bytes. Without `documents`, the mode is jsonl for
// JSON lines, parquet for Parquet files and file for plain text. `keys`: of the text (text_key.hpp), or names of
// columns. Throws an Error if an input does not exist, is not UTF-8 text (foreign_kind), or
// is JSON but not JSON lines; and, without `documents`, if the inputs are of different kinds. The message, one line,
// names the file and what to do.
TextInputs open_inputs(const std::vector<std::string>& inputs, std::optional<DocumentMode> documents,
                       const std::string& keys);

// The files of `inputs`. A folder is replaced by its files, recursively, in byte order of the path, without hidden
// files. An input that does not exist and contains *, ? or [ is a pattern as in glob(3): its matches replace it, in byte
// order. Error(bad_file) if an input does not exist, if a pattern matches nothing, if a folder has no files, or if a
// folder contains a link to a folder.
std::vector<std::string> list_text_files(const std::vector<std::string>& inputs);

}  // namespace gpas
