#include "io/data/missing_dataset.hpp"

#include "base/error.hpp"
#include "io/data/file_kind.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

namespace gpas {
namespace {

namespace fs = std::filesystem;

bool exists(const std::string& path) {
    std::error_code error;
    return fs::exists(path, error) || error;  // a file that cannot be examined is reported when it is opened
}

// Prefixes of token files in `folder` whose names begin with `begin`, in order.
std::vector<std::string> datasets(const fs::path& folder, const std::string& begin) {
    std::vector<std::string> found;
    std::error_code error;
    fs::directory_iterator entry(folder.empty() ? fs::path(".") : folder, error), end;
    while (!error && entry != end) {
        const std::string name = entry->path().filename().string();
        if (name.starts_with(begin) && name.ends_with(".idx")) {
            const std::string prefix = (folder / name.substr(0, name.size() - 4)).string();
            if (exists(prefix + ".bin")) found.push_back(prefix);
        }
        entry.increment(error);
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::string listed(const std::vector<std::string>& names) {
    constexpr std::size_t shown = 3;
    std::string list;
    for (std::size_t i = 0; i < std::min(names.size(), shown); ++i) list += (i > 0 ? ", " : "") + names[i];
    return names.size() > shown ? fmt::format("{} and {} more", list, names.size() - shown) : list;
}

std::string advice(const std::string& prefix) {
    for (const char* extension : {".idx", ".bin"}) {
        const std::string shorter = prefix.substr(0, prefix.size() - std::min<std::size_t>(prefix.size(), 4));
        if (prefix.ends_with(extension) && exists(shorter + ".idx"))
            return fmt::format("give the name without {}: {}", extension, shorter);
    }
    if (exists(prefix + ".idx.partial") || exists(prefix + ".bin.partial"))
        return "its `gpas prepare` was interrupted or still runs: run the same command again";
    std::error_code error;
    if (fs::is_directory(prefix, error)) {
        const auto inside = datasets(prefix, "");
        return inside.empty() ? "it is a folder without token files" : "it is a folder: give one of " + listed(inside);
    }
    if (exists(prefix)) {
        return fmt::format(
            "it is a file, expected the prefix of token files: if it is text, `gpas prepare --input {} --output-prefix "
            "{} ...` makes them",
            shell_quoted(prefix), shell_quoted(fs::path(prefix).replace_extension().string()));
    }
    const fs::path path(prefix);
    const auto longer = datasets(path.parent_path(), path.filename().string() + "_");
    if (!longer.empty()) return fmt::format("did you mean {}?", listed(longer));
    return "make token files from text with `gpas prepare --input TEXT --output-prefix PREFIX ...` and name "
           "PREFIX_text_document";
}

}  // namespace

void check_dataset_exists(const std::string& prefix) {
    const bool index = exists(prefix + ".idx"), data = exists(prefix + ".bin");
    if (index && data) return;
    if (index != data) {
        fail(ExitCode::bad_file, "{}.{}: does not exist, but {}.{} does: a dataset needs both files", prefix,
             index ? "bin" : "idx", prefix, index ? "idx" : "bin");
    }
    fail(ExitCode::bad_file, "{}: no token files ({}.idx and .bin): {}", prefix, prefix, advice(prefix));
}

}  // namespace gpas
