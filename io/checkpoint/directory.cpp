// The checkpoints in a directory: their names, and the newest complete one.
#include "base/error.hpp"
#include "io/checkpoint/branch.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "io/checkpoint/contents.hpp"

#include <algorithm>
#include <charconv>

namespace gpas {

using std::filesystem::path;

std::string checkpoint_file_name(std::int64_t step) { return fmt::format("step_{:08}.h5", step); }

// step_<digits>.h5
std::optional<std::int64_t> checkpoint_step(const path& file) {
    const std::string name = file.filename().string();
    if (!name.starts_with("step_") || !name.ends_with(".h5") || name.size() < 9) return std::nullopt;
    std::int64_t step = 0;
    const char* end = name.data() + name.size() - 3;
    const auto parsed = std::from_chars(name.data() + 5, end, step);
    if (parsed.ec != std::errc() || parsed.ptr != end || name != checkpoint_file_name(step)) return std::nullopt;
    return step;
}

std::string why_incomplete(const path& file, std::int64_t step) {
    try {
        const CheckpointHeader header = read_header(file);
        if (header.step == step) return "";
        return fmt::format("{}: holds step {}", file.string(), header.step);
    } catch (const Error& error) {
        if (error.code() != ExitCode::bad_file) throw;  // for example lack of memory: the file may be intact
        return error.what();
    }
}

std::vector<std::int64_t> current_steps(const path& directory) {
    std::vector<std::int64_t> steps;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error))
        if (const auto step = checkpoint_step(entry->path())) steps.push_back(*step);
    if (error && error != std::errc::no_such_file_or_directory)
        fail(ExitCode::environment, "{}: reading the directory: {}", directory.string(), error.message());
    if (!steps.empty())
        for (const std::string& name : names_to_be_moved(directory)) std::erase(steps, checkpoint_step(name));
    std::ranges::sort(steps, std::greater());
    return steps;
}

std::optional<path> newest_complete(const path& directory, std::vector<std::string>* passed_over, std::int64_t below,
                                    const std::function<std::string(const path&, std::int64_t)>& check) {
    for (int attempt = 0; attempt < 10; ++attempt) {
        std::vector<std::string> notes;
        bool gone = false;
        for (const std::int64_t step : current_steps(directory)) {
            if (step >= below) continue;
            const path file = directory / checkpoint_file_name(step);
            const std::string why = check(file, step);
            if (why.empty()) {
                if (passed_over) passed_over->insert(passed_over->end(), notes.begin(), notes.end());
                return file;
            }
            notes.push_back(why);
            std::error_code ignored;
            gone = gone || !std::filesystem::exists(file, ignored);
        }
        // A run has removed a file after this function read the directory, so the directory now has newer files.
        if (gone) continue;
        if (passed_over) passed_over->insert(passed_over->end(), notes.begin(), notes.end());
        break;
    }
    return std::nullopt;
}

void remove_leftovers(const path& directory) {
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (name.starts_with(".step_") && name.find(".h5.tmp.") != std::string::npos)
            std::filesystem::remove(entry->path());
    }
}

}  // namespace gpas
