#include "io/checkpoint/branch.hpp"

#include "base/durable.hpp"
#include "base/error.hpp"
#include "io/checkpoint/checkpoint.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace gpas {
namespace {

using Json = nlohmann::ordered_json;
using std::filesystem::path;
namespace fs = std::filesystem;

constexpr const char* record_name = "branch.json";
constexpr const char* journal_name = ".branching.json";
constexpr const char* why_name = "why.txt";
constexpr std::string_view prefix = "set_aside_";

void change(const BeforeChange& before) {
    if (before) before();
}

// Throws Error(environment) if a call of std::filesystem that changes a directory has failed.
template <class Call>
void checked(const path& where, const char* what, Call&& call) {
    std::error_code error;
    call(error);
    if (error) fail(ExitCode::environment, "{}: {}: {}", where.string(), what, error.message());
}

void write_whole(const path& file, const std::string& text, const BeforeChange& before) {
    path temporary = file.parent_path() / fmt::format(".{}.tmp", file.filename().string());
    change(before);
    {
        std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
        out << text;
        if (!out.flush()) fail(ExitCode::environment, "{}: cannot be written", temporary.string());
    }
    change(before);
    TemporaryFile(temporary).rename_to(file);
}

std::optional<std::string> read_text(const path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
}

// Parses the file's JSON and passes it to `read`.
template <class Read>
auto parse(const path& file, const std::string& text, Read&& read) {
    try {
        return read(Json::parse(text));
    } catch (const Json::exception&) {
        fail(ExitCode::bad_file, "{}: damaged; restore it, or remove it", file.string());
    }
}

Json json_of(const BranchRecord& record) {
    return {{"config", record.config},
            {"dataset_fingerprint", record.dataset_fingerprint},
            {"tokenizer_fingerprint", record.tokenizer_fingerprint},
            {"base", record.base},
            {"completed", record.completed}};
}

BranchRecord record_of(const Json& node) {
    return {.config = node.at("config"),
            .dataset_fingerprint = node.at("dataset_fingerprint"),
            .tokenizer_fingerprint = node.at("tokenizer_fingerprint"),
            .base = node.at("base"),
            .completed = node.at("completed")};
}

struct Journal {
    std::string to;  // name of the sub-directory
    std::string why;
    std::vector<std::string> files;
    std::optional<BranchRecord> record;
};

std::optional<Journal> read_journal(const path& directory) {
    const path file = directory / journal_name;
    const auto text = read_text(file);
    if (!text) return std::nullopt;
    return parse(file, *text, [](const Json& node) {
        Journal journal{.to = node.at("to"), .why = node.at("why"), .files = node.at("files"), .record = {}};
        if (!node.at("record").is_null()) journal.record = record_of(node.at("record"));
        return journal;
    });
}

std::vector<std::int64_t> steps_in(const path& directory) {
    std::vector<std::int64_t> steps;
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
        if (const auto step = checkpoint_step(entry->path())) steps.push_back(*step);
    if (error && error != std::errc::no_such_file_or_directory)
        fail(ExitCode::environment, "{}: reading the directory: {}", directory.string(), error.message());
    std::ranges::sort(steps);
    return steps;
}

// The number in the name of a set-aside directory.
std::optional<std::int64_t> number_of(const path& directory) {
    const std::string name = directory.filename().string();
    if (!name.starts_with(prefix)) return std::nullopt;
    std::int64_t number = 0;
    const auto parsed = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), number);
    if (parsed.ec != std::errc() || parsed.ptr == name.data() + name.size() || *parsed.ptr != '_') return std::nullopt;
    return number;
}

// Ascending by number.
std::vector<path> set_aside_directories(const path& directory) {
    std::vector<std::pair<std::int64_t, path>> found;
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
        if (const auto number = number_of(entry->path()); number && entry->is_directory())
            found.emplace_back(*number, entry->path());
    if (error && error != std::errc::no_such_file_or_directory)
        fail(ExitCode::environment, "{}: reading the directory: {}", directory.string(), error.message());
    std::ranges::sort(found);
    std::vector<path> directories;
    for (auto& [number, entry] : found) directories.push_back(std::move(entry));
    return directories;
}

// Moves a file. A symbolic link still points to the same file afterwards.
void move(const path& from, const path& to) {
    std::error_code error;
    const path target = fs::is_symlink(from, error) ? fs::read_symlink(from, error) : path();
    if (target.empty() || target.is_absolute()) {
        checked(from, "setting it aside", [&](std::error_code& e) { fs::rename(from, to, e); });
        return;
    }
    checked(to, "setting a link aside", [&](std::error_code& e) { fs::create_symlink(".." / target, to, e); });
    checked(from, "setting a link aside", [&](std::error_code& e) { fs::remove(from, e); });
}

std::optional<path> set_aside(const path& directory, const std::vector<std::int64_t>& steps, const std::string& why,
                              const std::optional<BranchRecord>& record, const BeforeChange& before) {
    if (steps.empty()) {
        if (record) write_branch(directory, *record, before);
        return std::nullopt;
    }
    const std::vector<path> earlier = set_aside_directories(directory);
    const std::int64_t number = earlier.empty() ? 1 : *number_of(earlier.back()) + 1;
    const path to = directory / fmt::format("{}{}_step_{}_to_{}", prefix, number, steps.front(), steps.back());
    Json files = Json::array();
    for (const std::int64_t step : steps) files.push_back(checkpoint_file_name(step));
    const Json journal{
        {"to", to.filename().string()}, {"why", why}, {"files", files}, {"record", record ? json_of(*record) : Json()}};
    write_whole(directory / journal_name, journal.dump(1) + "\n", before);
    finish_branching(directory, before);
    return to;
}

}  // namespace

std::optional<BranchRecord> read_branch(const path& directory) {
    const path file = directory / record_name;
    const auto text = read_text(file);
    if (!text) return std::nullopt;
    return parse(file, *text, record_of);
}

void write_branch(const path& directory, const BranchRecord& record, const BeforeChange& before) {
    checked(directory, "making the directory", [&](std::error_code& e) { fs::create_directories(directory, e); });
    write_whole(directory / record_name, json_of(record).dump(1) + "\n", before);
}

std::optional<path> begin_branch(const path& directory, std::int64_t after, const std::string& why,
                                 const std::optional<BranchRecord>& record, const BeforeChange& before) {
    finish_branching(directory, before);
    std::vector<std::int64_t> steps = steps_in(directory);
    std::erase_if(steps, [&](std::int64_t step) { return step <= after; });
    return set_aside(directory, steps, why, record, before);
}

void set_aside_step(const path& directory, std::int64_t step, const BeforeChange& before) {
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(directory / checkpoint_file_name(step), ignored))) return;
    finish_branching(directory, before);
    set_aside(directory, {step}, "another process had written a checkpoint of the same step", {}, before);
}

void finish_branching(const path& directory, const BeforeChange& before) {
    const auto journal = read_journal(directory);
    if (!journal) return;
    const path to = directory / journal->to;
    change(before);
    checked(to, "making the directory", [&](std::error_code& e) { fs::create_directory(to, e); });
    for (const std::string& name : journal->files) {
        std::error_code ignored;
        if (!fs::exists(fs::symlink_status(directory / name, ignored))) continue;  // moved already
        change(before);
        move(directory / name, to / name);
    }
    write_whole(to / why_name, journal->why + "\n", before);
    sync_directory(to);
    sync_directory(directory);
    if (journal->record) write_branch(directory, *journal->record, before);
    change(before);
    checked(directory / journal_name, "removing it",
            [&](std::error_code& e) { fs::remove(directory / journal_name, e); });
    sync_directory(directory);
}

std::vector<SetAside> list_set_aside(const path& directory) {
    std::vector<SetAside> all;
    for (const path& entry : set_aside_directories(directory)) {
        std::string why = read_text(entry / why_name).value_or("");
        why.erase(std::min(why.find('\n'), why.size()));
        all.push_back({entry, steps_in(entry), std::move(why)});
    }
    return all;
}

std::vector<std::string> names_to_be_moved(const path& directory) {
    const auto journal = read_journal(directory);
    return journal ? journal->files : std::vector<std::string>();
}

std::optional<path> moved_to(const path& file) {
    std::error_code error;
    const path directory = file.has_parent_path() ? file.parent_path() : ".";
    if (!fs::is_directory(directory, error)) return std::nullopt;
    std::vector<path> directories = set_aside_directories(directory);
    for (auto entry = directories.rbegin(); entry != directories.rend(); ++entry)
        if (fs::exists(*entry / file.filename(), error)) return *entry / file.filename();
    return std::nullopt;
}

}  // namespace gpas
