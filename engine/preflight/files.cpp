#include "engine/preflight/files.hpp"

#include "base/durable.hpp"
#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "engine/preflight/gather.hpp"
#include "engine/preflight/judge.hpp"
#include "engine/run/run_state.hpp"
#include "io/data/batch.hpp"
#include "io/data/tokenizer.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

namespace gpas::preflight {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_durably(const fs::path& path, const std::string& text) {
    PositionedFile file(path, PositionedFile::Open::create);
    file.write(0, text.data(), std::int64_t(text.size()), "a test of the directory");
    file.sync();
}

// The run's directory during the test. Directories that were created for the test are removed at the end.
class TriedDirectory {
public:
    explicit TriedDirectory(fs::path directory) {
        std::error_code ignored;  // if a path cannot be examined, creating it fails with the error to report
        for (; !directory.empty() && !fs::exists(directory, ignored); directory = directory.parent_path())
            made_.push_back(directory);
    }
    ~TriedDirectory() {
        std::error_code ignored;  // a directory that is not empty stays: another program uses it by now
        if (!token_.empty()) fs::remove(token_, ignored);
        for (const fs::path& directory : made_) fs::remove(directory, ignored);
    }
    TriedDirectory(const TriedDirectory&) = delete;
    TriedDirectory& operator=(const TriedDirectory&) = delete;

    void write_token(const fs::path& token) {
        std::error_code error;
        fs::create_directories(token.parent_path(), error);
        if (error)
            fail(ExitCode::environment, "{}: cannot be created: {}", token.parent_path().string(), error.message());
        token_ = token;
        write_durably(token, token.filename().string());
    }

private:
    std::vector<fs::path> made_;  // innermost first
    fs::path token_;
};

std::string look_for(const fs::path& token, double wait_seconds) {
    const Stopwatch watch;
    for (;;) {
        if (content_of(token) == token.filename()) return {};
        std::error_code error;
        if (watch.seconds() > wait_seconds)
            return fs::exists(token.parent_path(), error) ? "there is no such file" : "there is no such directory";
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
}

std::string try_own_file(const fs::path& path, double& sync_seconds) {
    const std::string text(std::size_t(64) << 10, 'x');
    try {
        const Stopwatch watch;
        write_durably(path, text);
        sync_seconds = watch.seconds();
        const bool same = content_of(path) == text;
        fs::remove(path);
        return same ? "" : fmt::format("{}: the file does not contain the bytes that were written", path.string());
    } catch (const std::exception& error) {
        std::error_code ignored;
        fs::remove(path, ignored);
        return error.what();
    }
}

std::string size_of(const fs::path& path) {
    std::error_code error;
    const auto size = fs::file_size(path, error);
    if (error) return unreadable + error.message();
    if (access(path.c_str(), R_OK) != 0) return std::string(unreadable) + "no permission";
    return fmt::format("{} bytes", size);
}

std::string size_of_tokenizer(const std::string& path) {
    try {
        return size_of(tokenizer_file(path));
    } catch (const Error& error) {
        return std::string(unreadable) + error.what();
    }
}

}  // namespace

DirectoryFacts try_directory(Communicator& world, const fs::path& directory, double wait_seconds) {
    const bool first = world.rank() == 0;
    TriedDirectory tried(first ? fs::absolute(directory) : fs::path());
    std::string token =
        fmt::format(".preflight_{}_{}", getpid(), std::chrono::system_clock::now().time_since_epoch().count());
    broadcast(world, token, 0, "the name of a token");
    std::string failed;
    if (first) {
        try {
            tried.write_token(directory / token);
        } catch (const std::exception& error) {
            failed = error.what();
        }
    }
    DirectoryFacts facts;
    facts.shared.resize(std::size_t(world.size()));
    facts.written = gather(world, failed, "whether the directory can be made");
    if (!facts.written[0].empty()) return facts;  // rank 0 wrote no file that the other ranks could look for

    facts.shared = gather(world, first ? "" : look_for(directory / token, wait_seconds), "whether the token is seen");
    const fs::path own = directory / fmt::format("{}_rank_{}", token, world.rank());
    facts.written = gather(world, try_own_file(own, facts.sync_seconds), "whether files can be written");
    world.all_reduce(&facts.sync_seconds, 1, ReduceOp::max, "the time of a sync");
    return facts;
}

double checkpoint_bytes_there(const fs::path& checkpoints) {
    double bytes = 0.0;
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator(checkpoints, ignored))
        if (checkpoint_step(entry.path())) bytes += double(entry.file_size(ignored));
    return bytes;
}

std::vector<FileFact> data_files(const RunConfig& config) {
    std::vector<FileFact> facts;
    const auto add = [&](const std::string& path) { facts.push_back({path, size_of(path)}); };
    for (const auto* sources : {&config.data.train, &config.data.valid})
        for (const DataSource& source : *sources)
            for (const char* extension : {".idx", ".bin"}) add(source.path + extension);
    if (!config.data.tokenizer.empty())
        facts.push_back({config.data.tokenizer, size_of_tokenizer(config.data.tokenizer)});
    return facts;
}

std::string data_state(const RunConfig& config, int threads) {
    constexpr std::int64_t looked_at_tokens = 1 << 20;  // checked per file; training checks more
    try {
        const RunData data = open_data(config.data, {.seed = config.seed,
                                                     .vocab_size = config.model.vocab_size,
                                                     .validation_samples = config.evaluation.samples,
                                                     .check_tokens = looked_at_tokens,
                                                     .threads = threads});
        const std::string tokenizer = file_fingerprint(config.data.tokenizer);
        return fmt::format("fingerprint {:016x}{}", data.fingerprint,
                           tokenizer.empty() ? "" : ", tokenizer fingerprint " + tokenizer);
    } catch (const std::exception& error) {
        return std::string(unreadable) + error.what();
    }
}

}  // namespace gpas::preflight
