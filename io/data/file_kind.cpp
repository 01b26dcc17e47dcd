#include "io/data/file_kind.hpp"

#include "io/data/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace gpas {
namespace {

using std::string_view_literals::operator""sv;

struct Signature {
    std::size_t offset;
    std::string_view bytes;
    const char* name;
    const char* as_stream;
    const char* advice;
};

constexpr const char* pandas =
    "python3 -c \"import pandas; print(pandas.{}('FILE').to_json(orient='records', lines=True))\"";
constexpr const char* extract = "extract its text first";
constexpr const char* unpack_folder = "unpack it into a folder and give --input that folder";
constexpr const char* arrow_stream =
    "python3 -c \"import pyarrow.ipc as ipc; print(ipc.open_stream('FILE').read_pandas().to_json(orient='records', "
    "lines=True))\"";

// If a signature begins with a shorter signature, the longer one comes first. Text may begin with a signature of
// letters and digits only, so such a signature counts only if a control character follows.
constexpr std::array signatures{
    Signature{0, "PAR1"sv, "a Parquet file", "read_parquet", nullptr},
    Signature{0, "PARE"sv, "an encrypted Parquet file", nullptr, "decrypt it and write JSON lines"},
    Signature{0, "ARROW1"sv, "an Arrow (Feather) file", "read_feather", nullptr},
    Signature{0, "FEA1"sv, "a Feather file", "read_feather", nullptr},
    Signature{0, "\xff\xff\xff\xff"sv, "an Arrow stream", arrow_stream, nullptr},
    Signature{0, "ORC"sv, "an ORC file", "read_orc", nullptr},
    Signature{0, "Obj\x01"sv, "an Avro file", nullptr, "write it as JSON lines (avro-tools tojson)"},
    Signature{0, "\x1f\x8b"sv, "gzip data", "gzip -dc FILE", nullptr},
    Signature{0, "\x28\xb5\x2f\xfd"sv, "zstd data", "zstd -dc FILE", nullptr},
    Signature{4, "1AY&SY"sv, "bzip2 data", "bzip2 -dc FILE", nullptr},
    Signature{4, "\x17\x72\x45\x38\x50\x90"sv, "empty bzip2 data", "bzip2 -dc FILE", nullptr},
    Signature{0,
              "\xfd"
              "7zXZ\0"sv,
              "xz data", "xz -dc FILE", nullptr},
    Signature{0, "\x5d\0\0"sv, "LZMA data", "xz --format=lzma -dc FILE", nullptr},
    Signature{0, "LZIP"sv, "lzip data", "lzip -dc FILE", nullptr},
    Signature{0, "\x04\x22\x4d\x18"sv, "LZ4 data", "lz4 -dc FILE", nullptr},
    Signature{0, "\x02\x21\x4c\x18"sv, "LZ4 data", "lz4 -dc FILE", nullptr},
    Signature{0, "\x1f\x9d"sv, "compress (.Z) data", "gzip -dc FILE", nullptr},
    Signature{0, "\xff\x06\0\0sNaPpY"sv, "Snappy data", "snzip -dc FILE", nullptr},
    Signature{0, "PK\x03\x04"sv, "a ZIP archive (.zip, .npz, .docx, .xlsx, .pt)", "unzip -p FILE", nullptr},
    Signature{0, "PK\x05\x06"sv, "an empty ZIP archive", nullptr, "name a file with text"},
    Signature{0, "PK\x07\x08"sv, "a part of a ZIP archive", nullptr, unpack_folder},
    Signature{0, "7z\xbc\xaf\x27\x1c"sv, "a 7-Zip archive", "7z x -so FILE", nullptr},
    Signature{0, "Rar!\x1a\x07"sv, "a RAR archive", "unrar p -inul FILE", nullptr},
    Signature{257, "ustar"sv, "a tar archive", nullptr, unpack_folder},
    Signature{0, "070701"sv, "a cpio archive", nullptr, unpack_folder},
    Signature{0, "!<arch>\n"sv, "an ar archive", nullptr, unpack_folder},
    Signature{0, "WARC/1."sv, "a WARC archive of web pages", nullptr,
              "extract the text of its pages and write JSON lines"},
    Signature{0, "%PDF-"sv, "a PDF document", "pdftotext FILE -", nullptr},
    Signature{0, "{\\rtf"sv, "an RTF document", nullptr, extract},
    Signature{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, "a Microsoft Office document", nullptr, extract},
    Signature{0, "SQLite format 3\0"sv, "an SQLite database", nullptr,
              "write its text as JSON lines: sqlite3 FILE \"select json_object('text', COLUMN) from TABLE\""},
    Signature{0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file", nullptr, "write its text as JSON lines"},
    Signature{0, "\x93NUMPY"sv, "a NumPy array", nullptr, "write its text as JSON lines"},
    Signature{0, "MMIDIDX\0\0"sv, "an index of token files", nullptr,
              "the file is prepared already: set data.train to its name without .idx"},
    Signature{0, "GGUF"sv, "a GGUF model", nullptr, "name a file with text"},
    Signature{0,
              "\x7f"
              "ELF"sv,
              "a program", nullptr, "name a file with text"},
    Signature{0, "\x89PNG\r\n\x1a\n"sv, "a PNG image", nullptr, "name a file with text"},
    Signature{0, "\xff\xd8\xff"sv, "a JPEG image", nullptr, "name a file with text"},
    Signature{0, "GIF8"sv, "a GIF image", nullptr, "name a file with text"},
    Signature{0, "OggS"sv, "an Ogg file", nullptr, "name a file with text"},
    Signature{0, "ID3"sv, "an MP3 file", nullptr, "name a file with text"},
    Signature{0, "\0\0\xfe\xff"sv, "UTF-32 text", "iconv -f UTF-32 -t UTF-8 FILE", nullptr},
    Signature{0, "\xff\xfe\0\0"sv, "UTF-32 text", "iconv -f UTF-32 -t UTF-8 FILE", nullptr},
    Signature{0, "\xff\xfe"sv, "UTF-16 text", "iconv -f UTF-16 -t UTF-8 FILE", nullptr},
    Signature{0, "\xfe\xff"sv, "UTF-16 text", "iconv -f UTF-16 -t UTF-8 FILE", nullptr},
};

FileKind kind_of(const Signature& signature) {
    FileKind kind{signature.name, "", signature.advice != nullptr ? signature.advice : ""};
    if (signature.as_stream == nullptr) return kind;
    const std::string_view command = signature.as_stream;
    kind.is_filter = command.ends_with(" -dc FILE") || command.starts_with("iconv");
    kind.as_stream = command.starts_with("read_") ? fmt::format(fmt::runtime(pandas), command) : std::string(command);
    return kind;
}

bool space(char c) { return c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }
bool control(char c) {
    return (static_cast<unsigned char>(c) < 0x20 && !space(c) && c != '\b' && c != '\x1b') || c == 0x7f;
}

bool word(std::string_view bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    });
}

// Whether this is mostly ASCII text with `width` bytes per character and the low byte at index `low`: in more than half
// of the characters all other bytes are 0, and none of these characters is a control character (which small integers
// would be).
bool wide_text(std::string_view head, std::size_t width, std::size_t low) {
    const std::size_t characters = head.size() / width;
    std::size_t ascii = 0;
    for (std::size_t i = 0; i < characters; ++i) {
        const std::string_view bytes = head.substr(i * width, width);
        const bool narrow =
            std::count(bytes.begin(), bytes.end(), '\0') == std::ptrdiff_t(width - 1) && bytes[low] != 0;
        if (narrow && control(bytes[low])) return false;
        ascii += narrow;
    }
    return characters >= 2 && ascii * 2 > characters;
}

std::optional<FileKind> wide_kind(std::string_view head) {
    struct Wide {
        std::size_t width, low;
        const char* encoding;
    };
    for (const Wide wide : {Wide{4, 0, "UTF-32LE"}, {4, 3, "UTF-32BE"}, {2, 0, "UTF-16LE"}, {2, 1, "UTF-16BE"}}) {
        if (wide_text(head, wide.width, wide.low))
            return FileKind{fmt::format("{} text", wide.encoding),
                            fmt::format("iconv -f {} -t UTF-8 FILE", wide.encoding), "", true};
    }
    return std::nullopt;
}

bool is_pickle(std::string_view head) { return head.size() > 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5; }

bool is_safetensors(std::string_view head) {
    return head.size() > 10 && head.substr(5, 3) == "\0\0\0"sv && (head.substr(8, 2) == "{\"");
}

// Recognises binary data and other encodings. A few odd bytes are not enough, because short texts may contain them.
std::optional<FileKind> unreadable_kind(std::string_view head) {
    constexpr std::int64_t few = 8;
    const auto bytes = std::int64_t(head.size());
    const std::int64_t controls = std::count_if(head.begin(), head.end(), control);
    if (controls >= few && controls * 50 > bytes) return FileKind{"binary data", "", "name a file with UTF-8 text"};
    std::int64_t ill_formed = 0;
    const std::string repaired = repair_utf8(head, ill_formed);
    const std::int64_t characters =
        std::count_if(repaired.begin(), repaired.end(), [](char c) { return (c & '\xc0') != '\x80'; });
    const bool many = ill_formed >= 64 && ill_formed * 4 > characters;
    if (many || (ill_formed >= 16 && ill_formed * 3 > characters)) {
        return FileKind{
            fmt::format("not UTF-8 text ({} % of its characters are ill-formed)", 100 * ill_formed / characters),
            "iconv -f ENCODING -t UTF-8 FILE", "", true};
    }
    return std::nullopt;
}

}  // namespace

std::optional<FileKind> known_kind(std::string_view head) {
    head = head.substr(0, head_bytes);
    for (const Signature& signature : signatures) {
        if (head.size() >= signature.offset && head.substr(signature.offset).starts_with(signature.bytes)) {
            if (word(signature.bytes) && std::none_of(head.begin(), head.end(), control)) continue;
            return kind_of(signature);
        }
    }
    if (is_git_lfs_pointer(head))
        return FileKind{"a Git LFS pointer, not the file itself", "", "download the file (git lfs pull)"};
    if (is_pickle(head)) return FileKind{"a Python pickle", "", "write its text as JSON lines"};
    if (is_safetensors(head)) return FileKind{"a safetensors file", "", "name a file with text"};
    return wide_kind(head);
}

std::optional<FileKind> foreign_kind(std::string_view head, bool whole) {
    head = head.substr(0, head_bytes);
    if (auto known = known_kind(head)) return known;
    if (!whole) head = head.substr(0, head.size() - 3);  // a character may be cut at the end
    return unreadable_kind(head);
}

bool is_git_lfs_pointer(std::string_view head) { return head.starts_with("version https://git-lfs.github.com/spec/"); }

bool is_html(std::string_view head) {
    std::string begin(head.substr(0, 1024));
    begin.erase(0, begin.find_first_not_of(" \t\r\n"));
    std::transform(begin.begin(), begin.end(), begin.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? char(c | 0x20) : c; });
    return begin.starts_with("<!doctype html") || begin.starts_with("<html");
}

std::string shell_quoted(const std::string& word) {
    const auto plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("/._-+=:,@%").find(c) != std::string_view::npos;
    };
    if (!word.empty() && word.front() != '-' && std::all_of(word.begin(), word.end(), plain)) return word;
    std::string quoted = "'";
    for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + "'";
}

}  // namespace gpas
