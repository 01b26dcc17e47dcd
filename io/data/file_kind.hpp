// Recognises files that do not contain UTF-8 text (Parquet, archives, ...) by their first bytes. Messages then name the
// kind of the file and the command that converts it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gpas {

constexpr std::size_t head_bytes = 1 << 16;  // bytes at the beginning of a file that the functions below examine

struct FileKind {
    std::string name;       // "a Parquet file"
    std::string as_stream;  // shell command that writes the file's text to stdout, with FILE for the path; may be empty
    std::string advice;     // what to do if as_stream is empty
    bool is_filter = false;  // as_stream ends in " FILE" and reads standard input without that ending
};

// The kind of a file whose first bytes are unmistakable (a magic number); nullopt for other files.
std::optional<FileKind> known_kind(std::string_view head);

// As known_kind; also recognises data of an unknown kind that are not text. nullopt for UTF-8 text (a few ill-formed
// sequences or control characters are allowed) and for an empty head. gzip, zstd, bzip2 and xz data are kinds,
// too: a reader that unpacks them passes the unpacked bytes. `whole`: `head` is the whole file.
std::optional<FileKind> foreign_kind(std::string_view head, bool whole);

// Whether this is a Git LFS pointer: the small file that a repository contains until the real file is downloaded.
bool is_git_lfs_pointer(std::string_view head);
bool is_html(std::string_view head);

// The word, quoted for a shell command: 'it'\''s a name'.
std::string shell_quoted(const std::string& word);

}  // namespace gpas
