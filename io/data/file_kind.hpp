// Recognises the kind of a file without UTF-8 text by its first bytes, for messages that name the kind and how to
// convert the file.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gpas {

constexpr std::size_t head_bytes = 1 << 16;  // how much of a file the functions below look at

struct FileKind {
    std::string name;       // "a Parquet file"
    std::string as_stream;  // a command that writes its text to standard output; FILE stands for the file. May be empty
    std::string advice;     // what to do if there is no such command
    bool is_filter = false;  // as_stream ends in " FILE", and without that it reads standard input
};

// A kind whose first bytes are unmistakable.
std::optional<FileKind> known_kind(std::string_view head);

// The same, or data of no known kind that are not text. Nothing for UTF-8 text (with some ill-formed sequences or
// control characters too) and for an empty head. gzip and zstd data are among the kinds: for readers that unpack them,
// this is what lies inside. `whole`: the head is all there is.
std::optional<FileKind> foreign_kind(std::string_view head, bool whole);

// A Git LFS pointer stands in a repository for a file that was not downloaded.
bool is_git_lfs_pointer(std::string_view head);
bool is_html(std::string_view head);

// 'it'\''s a name': a word of a shell command.
std::string shell_quoted(const std::string& word);

}  // namespace gpas
