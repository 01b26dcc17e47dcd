// Checkpoints of one run side by side: their names, which counts as the newest, which may go.
#include "io/checkpoint/checkpoint.hpp"
#include "io/checkpoint/contents.hpp"
#include "kernels/error.hpp"

#include <algorithm>
#include <charconv>

namespace gpas {
namespace {

using std::filesystem::path;

struct StepFile {
    std::int64_t step = 0;
    path file;
};

std::vector<StepFile> newest_first(const path& directory) {
    std::vector<StepFile> files;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error))
        if (const auto step = checkpoint_step(entry->path())) files.push_back({*step, entry->path()});
    if (error && error != std::errc::no_such_file_or_directory)
        fail(ExitCode::environment, "{}: reading the directory: {}", directory.string(), error.message());
    std::ranges::sort(files, std::greater(), &StepFile::step);
    return files;
}

// Empty: complete. Otherwise why not.
std::string why_incomplete(const StepFile& candidate) {
    try {
        const CheckpointHeader header = read_header(candidate.file);
        if (header.step == candidate.step) return "";
        return fmt::format("{}: holds step {}", candidate.file.string(), header.step);
    } catch (const Error& error) {
        return error.what();
    }
}

}  // namespace

std::string checkpoint_file_name(std::int64_t step) { return fmt::format("step_{:08}.h5", step); }

// step_<digits>.h5
std::optional<std::int64_t> checkpoint_step(const path& file) {
    const std::string name = file.filename().string();
    if (!name.starts_with("step_") || !name.ends_with(".h5") || name.size() < 9) return std::nullopt;
    std::int64_t step = 0;
    const char* end = name.data() + name.size() - 3;
    const auto parsed = std::from_chars(name.data() + 5, end, step);
    if (parsed.ec != std::errc() || parsed.ptr != end || step < 0) return std::nullopt;
    return step;
}

std::optional<path> newest_complete(const path& directory, std::vector<std::string>* passed_over, std::int64_t below) {
    for (const StepFile& candidate : newest_first(directory)) {
        if (candidate.step >= below) continue;
        const std::string why = why_incomplete(candidate);
        if (why.empty()) return candidate.file;
        if (passed_over) passed_over->push_back(why);
    }
    return std::nullopt;
}

std::vector<std::string> keep_last(const path& directory, std::int64_t k, std::int64_t keep_every) {
    if (k <= 0) return {};
    std::vector<std::string> problems;
    try {
        std::int64_t kept = 0;
        for (const StepFile& candidate : newest_first(directory)) {
            // What is damaged is left for a person to look at, and never counts as one of those kept.
            if (!why_incomplete(candidate).empty() || ++kept <= k) continue;
            if (keep_every > 0 && candidate.step % keep_every == 0) continue;
            std::error_code error;
            std::filesystem::remove(candidate.file, error);
            if (error)
                problems.push_back(
                    fmt::format("{}: removing an old checkpoint: {}", candidate.file.string(), error.message()));
        }
    } catch (const Error& error) {
        problems.push_back(error.what());
    }
    return problems;
}

}  // namespace gpas
