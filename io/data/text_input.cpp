#include "io/data/text_input.hpp"

#include "base/error.hpp"
#include "io/data/file_kind.hpp"
#include "io/data/json_line.hpp"
#include "io/data/text_key.hpp"

#include <glob.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <new>
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
    if (!command.empty()) advice = pipe_advice(command);
    if (advice.empty()) advice = "unpack it to a file and convert that file";
    fail(ExitCode::bad_file, "{}: {} {}{}, which prepare does not read: {}", input.name(),
         input.compressed() ? "holds" : "is", kind->name, input.compressed() ? " in compressed form" : "", advice);
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
        refuse_foreign(input, head);
        const NameKind name = chosen_ == DocumentMode::jsonl ? NameKind::json_lines : name_kind(path);
        const Content content = content_of(head, name, key_);
        if (content != Content::empty) chosen_ ? compare_with_choice(input, content) : conclude(input, content);
        result_.files.push_back(std::move(input));
    }

    TextInputs result() {
        result_.documents = chosen_.value_or(json_lines_ ? DocumentMode::jsonl : DocumentMode::file);
        if (chosen_ || first_.empty()) return std::move(result_);
        result_.notices.push_back(
            json_lines_ ? fmt::format("{}: JSON lines, the text is under \"{}\" (--documents jsonl)", first_, key_)
                        : fmt::format("{}: plain text, each file is one document (--documents file); line and "
                                      "blank-line make a document of each line and paragraph",
                                      first_));
        return std::move(result_);
    }

private:
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
        const bool json_lines = content == Content::json_lines;
        if (first_.empty()) {
            first_ = input.name();
            json_lines_ = json_lines;
        } else if (json_lines != json_lines_) {
            fail(ExitCode::usage,
                 "{} is JSON lines, {} is plain text: prepare the two kinds separately, or set --documents for all "
                 "files",
                 json_lines ? input.name() : first_, json_lines ? first_ : input.name());
        }
    }

    std::optional<DocumentMode> chosen_;
    std::string key_;
    TextInputs result_;
    std::string first_;  // the first file that is not empty
    bool json_lines_ = false, told_ = false;
};

bool is_pattern(const std::string& input) { return input.find_first_of("*?[") != std::string::npos; }

// The files and folders that match a shell pattern, in byte order.
std::vector<std::string> matches_of(const std::string& pattern) {
    struct Matches {
        ~Matches() { ::globfree(&list); }
        glob_t list{};
    } matches;
    const auto stops = [](const char*, int error) { return int(error != ENOENT); };
    const int result = ::glob(pattern.c_str(), GLOB_NOSORT, stops, &matches.list);
    if (result == GLOB_NOSPACE) throw std::bad_alloc();
    if (result == GLOB_ABORTED) fail(ExitCode::environment, "{}: a folder of this pattern cannot be read", pattern);
    if (result != 0) {
        fail(ExitCode::bad_file, "{}: no file or folder matches this pattern (names that begin with . need a .)",
             pattern);
    }
    std::vector<std::string> found(matches.list.gl_pathv, matches.list.gl_pathv + matches.list.gl_pathc);
    std::sort(found.begin(), found.end());
    return found;
}

std::vector<std::string> files_of_folder(const std::string& input) {
    std::vector<std::string> found;
    std::error_code error;
    fs::recursive_directory_iterator folder(input, error), end;
    while (!error && folder != end) {
        const fs::path path = folder->path();
        const bool hidden = path.filename().string().starts_with('.');
        std::error_code ignored;  // for files that disappear, and for dangling links
        if (hidden && folder->is_directory(ignored)) folder.disable_recursion_pending();
        if (!hidden && folder->is_symlink(ignored) && folder->is_directory(ignored)) {
            fail(ExitCode::bad_file, "{}: is a link to a folder, which prepare does not follow: give it to --input too",
                 path.string());
        }
        if (!hidden && folder->is_regular_file(ignored)) found.push_back(path.string());
        folder.increment(error);
    }
    if (error) fail(ExitCode::environment, "{}: the folder cannot be read: {}", input, error.message());
    if (found.empty()) fail(ExitCode::bad_file, "{}: is a folder without files (hidden ones are left out)", input);
    std::sort(found.begin(), found.end());
    return found;
}

}  // namespace

std::string TextInput::name() const {
    if (!shown_as.empty()) return shown_as;
    return path == "-" ? "standard input" : path;
}

TextInputs open_inputs(const std::vector<std::string>& inputs, std::optional<DocumentMode> documents,
                       const std::string& json_key) {
    Recognition recognition(documents, json_key);
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

std::vector<std::string> list_text_files(const std::vector<std::string>& inputs) {
    std::vector<std::string> files;
    const auto add = [&](const std::string& input) {
        std::error_code error;
        const bool exists = input == "-" || fs::exists(input, error);
        if (error) fail(ExitCode::environment, "{}: {}", input, error.message());
        if (!exists) fail(ExitCode::bad_file, "{}: no such file or folder", input);
        if (input == "-" || !fs::is_directory(input, error)) {
            files.push_back(input);
            return;
        }
        const std::vector<std::string> found = files_of_folder(input);
        files.insert(files.end(), found.begin(), found.end());
    };
    for (const std::string& input : inputs) {
        if (input.empty()) fail(ExitCode::usage, "--input has an empty name, expected a file, a folder or -");
        std::error_code ignored;
        if (is_pattern(input) && !fs::exists(input, ignored)) {
            for (const std::string& match : matches_of(input)) add(match);
        } else {
            add(input);
        }
    }
    if (files.empty()) fail(ExitCode::usage, "no text to prepare: name files or folders");
    return files;
}

}  // namespace gpas
