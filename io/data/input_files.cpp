#include "base/error.hpp"
#include "io/data/text_input.hpp"

#include <glob.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <new>

namespace gpas {
namespace {

namespace fs = std::filesystem;

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
