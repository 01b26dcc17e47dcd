#include "io/data/text_input.hpp"

#include "base/error.hpp"
#include "io/data/file_kind.hpp"
#include "io/data/json_line.hpp"
#include "io/data/parquet_file.hpp"
#include "io/data/text_key.hpp"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>

namespace gpas {
namespace {

namespace fs = std::filesystem;

enum class Content {
    empty,
    plain,
    json_lines,     // a line is an object with a string under each key, or the file name is one for JSON lines
    other_objects,  // the first line is an object without such a string, and the file name is not one for JSON lines
    pretty_json,    // one value over several lines
    json_array,     // one array of objects or strings
    html,           // an HTML page with a file name for JSON
};

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
    return std::any_of(endings.begin(), endings.end(), [&](std::string_view ending) { return name.ends_with(ending); });
}

enum class NameKind { other, json, json_lines };

NameKind name_kind(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    if (ends_with_any(name, {".gz", ".zst", ".bz2", ".xz"})) name = fs::path(name).replace_extension().string();
    if (ends_with_any(name, {".jsonl", ".ndjson", ".jsonlines"})) return NameKind::json_lines;
    return name.ends_with(".json") ? NameKind::json : NameKind::other;
}

std::string_view first_line(std::string_view& text) {
    const std::size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
    text.remove_prefix(begin);
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end);
    return line;
}

// Whether the first element of a JSON array is an object or a string.
bool holds_documents(std::string_view array) {
    const std::size_t element = array.find_first_not_of(" \t\r\n", 1);
    return element != std::string_view::npos && (array[element] == '{' || array[element] == '"');
}

Content content_of(std::string_view head, NameKind name, const std::string& key) {
    const bool whole = head.size() < head_bytes;
    if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);
    head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n"), head.size()));
    if (head.empty()) return Content::empty;
    if (name != NameKind::other && is_html(head)) return Content::html;
    const JsonHead json = json_head(head);
    if (json.complete || !whole) {  // else a bad line may look like a value of several lines
        if (json.first == '[' && json.alone && holds_documents(head)) return Content::json_array;
        if ((json.first == '{' || json.first == '[') && json.many_lines) return Content::pretty_json;
    }
    if (name != NameKind::other) return Content::json_lines;

    constexpr int lines_looked_at = 10;  // several, because the first line may be a bad line
    std::string text;
    BadLine bad;
    for (int i = 0; i < lines_looked_at; ++i) {
        const std::string_view line = first_line(head);
        if (line.empty()) break;
        if (text_under_keys(line, key, text, bad)) return Content::json_lines;
        const bool object = bad.problem == LineProblem::no_key || bad.problem == LineProblem::not_string;
        if (i == 0 && object) return Content::other_objects;
        if (i == 0 && !line.starts_with('{')) break;
        const bool longer_than_head = i == 0 && head.empty() && line.size() >= head_bytes / 2;
        if (longer_than_head && json_head(line).first == '{') return Content::json_lines;
    }
    return Content::plain;
}

// The file as an argument of a command: " x.gz". Empty for a stream, which the command reads from standard input.
std::string file_argument(const TextInput& input) {
    return input.stream ? std::string() : " " + shell_quoted(input.path);
}

std::string pipe_advice(const std::string& command, const char* more = "") {
    return fmt::format("use `{} | gpas prepare --input - {}...`", command, more);
}

// A shell command that writes the text of the input to standard output. Empty if there is no such command for the kind.
std::string conversion(const FileKind& kind, const TextInput& input) {
    constexpr std::string_view file = " FILE";
    std::string command = kind.as_stream;
    if (kind.is_filter && (input.compressed() || input.stream)) {
        command.resize(command.size() - file.size());
        return input.compressed() ? input.unpack + file_argument(input) + " | " + command : command;
    }
    if (command.empty() || input.compressed() || input.stream) return "";
    const std::size_t at = command.find("FILE");
    const bool inside_quotes = command[at - 1] == '\'';
    const std::string quoted = shell_quoted(input.path);
    if (inside_quotes && quoted != input.path)
        return command;  // the user has to replace FILE, because the path cannot be quoted here
    return command.replace(at, 4, quoted);
}

void refuse_foreign(const TextInput& input, std::string_view head) {
    const auto kind = foreign_kind(head, head.size() < head_bytes);
    if (!kind) return;
    const std::string command = conversion(*kind, input);
    std::string advice = kind->advice;
    if (is_parquet(head) && parquet_is_supported() && !input.stream && !input.compressed())
        fail(ExitCode::usage, "{}: is a Parquet file: leave --documents out, or set --documents parquet", input.name());
    if (!command.empty()) advice = pipe_advice(command);
    if (advice.empty()) advice = "unpack it to a file and convert that file";
    const char* reads = is_parquet(head) && !parquet_is_supported()
                            ? "this gpas does not read, because it was built without Apache Arrow"
                            : "prepare does not read";
    fail(ExitCode::bad_file, "{}: {} {}{}, which {}: {}", input.name(), input.compressed() ? "holds" : "is", kind->name,
         input.compressed() ? " in compressed form" : "", reads, advice);
}

void refuse_json_document(const TextInput& input, Content content, bool chosen) {
    const char* otherwise = chosen ? "" : "; --documents file takes it as plain text";
    if (content == Content::html) {
        fail(ExitCode::bad_file, "{}: is an HTML page, expected JSON lines: download the file again{}", input.name(),
             otherwise);
    }
    const bool array = content == Content::json_array;
    const std::string source = input.compressed() ? input.unpack + file_argument(input) + " | " : "";
    const std::string command =
        source + (array ? "jq -c '.[]'" : "jq -c .") + (input.compressed() ? std::string() : file_argument(input));
    fail(ExitCode::bad_file, "{}: is {}, expected JSON lines (one object per line): {}{}", input.name(),
         array ? "a JSON array" : "JSON over several lines", pipe_advice(command, "--documents jsonl "), otherwise);
}

std::string mode_name(DocumentMode mode) {
    switch (mode) {
        case DocumentMode::file: return "file";
        case DocumentMode::line: return "line";
        case DocumentMode::blank_line: return "blank-line";
        case DocumentMode::jsonl: return "jsonl";
        case DocumentMode::parquet: return "parquet";
    }
    return "";
}

TextInput open_input(const std::string& path, std::string& head) {
    TextInput input;
    input.path = path;
    auto file = std::make_shared<TextFile>(path);
    head = file->peek(std::int64_t(head_bytes));
    input.stored_bytes = file->stored_bytes();
    input.unpack = file->unpack_command();
    if (file->is_stream()) input.stream = std::move(file);
    return input;
}

// Recognises the kinds of the input files, one after another, and the document mode that follows.
class Recognition {
public:
    Recognition(std::optional<DocumentMode> documents, std::string key) : chosen_(documents), key_(std::move(key)) {}

    void add(const std::string& path) {
        std::string head;
        TextInput input = open_input(path, head);
        const bool as_parquet = chosen_.value_or(DocumentMode::parquet) == DocumentMode::parquet;
        if (as_parquet && is_parquet(head) && parquet_is_supported() && !input.stream && !input.compressed())
            return add_parquet(std::move(input));
        refuse_foreign(input, head);
        if (chosen_ == DocumentMode::parquet)
            fail(ExitCode::bad_file, "{}: is not a Parquet file, as --documents parquet says", input.name());
        const NameKind name = chosen_ == DocumentMode::jsonl ? NameKind::json_lines : name_kind(path);
        const Content content = content_of(head, name, key_);
        if (content != Content::empty) chosen_ ? compare_with_choice(input, content) : conclude(input, content);
        result_.files.push_back(std::move(input));
    }

    TextInputs result() {
        result_.documents = chosen_.value_or(kind_);
        if (chosen_ || first_.empty()) return std::move(result_);
        result_.notices.push_back(
            kind_ == DocumentMode::parquet
                ? fmt::format("{}: Parquet, the text is in the column \"{}\" (--documents parquet)", first_, key_)
            : kind_ == DocumentMode::jsonl
                ? fmt::format("{}: JSON lines, the text is under \"{}\" (--documents jsonl)", first_, key_)
                : fmt::format("{}: plain text, each file is one document (--documents file); line and "
                              "blank-line make a document of each line and paragraph",
                              first_));
        return std::move(result_);
    }

private:
    // Reads the names of the columns and the sizes of the row groups, so damage there is an error at once.
    void add_parquet(TextInput input) {
        const ParquetFile file(input.path, key_);
        compare_with_first(input, DocumentMode::parquet);
        result_.files.push_back(std::move(input));
    }

    void compare_with_choice(const TextInput& input, Content content) {
        if (*chosen_ == DocumentMode::jsonl) {
            if (content == Content::pretty_json || content == Content::json_array || content == Content::html)
                refuse_json_document(input, content, true);
        } else if (content == Content::json_lines && !told_) {
            told_ = true;
            result_.notices.push_back(
                fmt::format("{}: looks like JSON lines, and is taken as plain text, as --documents "
                            "{} says",
                            input.name(), mode_name(*chosen_)));
        }
    }

    void conclude(const TextInput& input, Content content) {
        if (content == Content::other_objects) {
            fail(ExitCode::bad_file,
                 "{}: its first line is a JSON object without a string under \"{}\": name the key of the text with "
                 "--text-key, "
                 "or take the file as plain text with --documents line or file",
                 input.name(), key_);
        }
        if (content != Content::plain && content != Content::json_lines) refuse_json_document(input, content, false);
        compare_with_first(input, content == Content::json_lines ? DocumentMode::jsonl : DocumentMode::file);
    }

    void compare_with_first(const TextInput& input, DocumentMode kind) {
        if (first_.empty()) {
            first_ = input.name();
            kind_ = kind;
        } else if (kind != kind_) {
            const bool swapped = kind == DocumentMode::jsonl && kind_ == DocumentMode::file;
            const auto named = [](const std::string& file, DocumentMode mode) {
                const char* name = mode == DocumentMode::parquet ? "Parquet"
                                   : mode == DocumentMode::jsonl ? "JSON lines"
                                                                 : "plain text";
                return fmt::format("{} is {}", file, name);
            };
            const std::string one = named(first_, kind_), other = named(input.name(), kind);
            fail(ExitCode::usage, "{}, {}: prepare the two kinds separately{}", swapped ? other : one,
                 swapped ? one : other,
                 kind == DocumentMode::parquet || kind_ == DocumentMode::parquet
                     ? ""
                     : ", or set --documents for all files");
        }
    }

    std::optional<DocumentMode> chosen_;
    std::string key_;
    TextInputs result_;
    std::string first_;                       // the first file that is not empty
    DocumentMode kind_ = DocumentMode::file;  // of the first file
    bool told_ = false;
};

}  // namespace

std::string TextInput::name() const {
    if (!shown_as.empty()) return shown_as;
    return path == "-" ? "standard input" : path;
}

TextInputs open_inputs(const std::vector<std::string>& inputs, std::optional<DocumentMode> documents,
                       const std::string& keys) {
    Recognition recognition(documents, keys);
    std::set<std::string> seen;
    std::vector<std::string> twice;
    for (const std::string& path : list_text_files(inputs)) {
        if (!seen.insert(fs::path(path).lexically_normal().string()).second) {
            if (path == "-" || !fs::is_regular_file(path))
                fail(ExitCode::usage, "{}: is listed twice, but a stream can be read only once", path);
            twice.push_back(path);
        }
        recognition.add(path);
    }
    TextInputs result = recognition.result();
    if (!twice.empty()) {
        result.notices.push_back(
            fmt::format("{}: is listed more than once, and is read each time{}", twice.front(),
                        twice.size() > 1 ? fmt::format(" (and {} others)", twice.size() - 1) : ""));
    }
    return result;
}

}  // namespace gpas
