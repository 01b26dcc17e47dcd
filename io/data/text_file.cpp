#include "io/data/text_file.hpp"

#include "base/error.hpp"
#include "io/data/decompressor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace gpas {
namespace {

class FileDescriptor {
public:
    explicit FileDescriptor(const std::string& path)
        : value_(path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
        if (value_ < 0) {
            const bool absent = errno == ENOENT || errno == ENOTDIR;
            fail(absent ? ExitCode::bad_file : ExitCode::environment, "{}: cannot be opened: {}",
                 path == "-" ? "standard input" : path, std::strerror(errno));
        }
    }
    ~FileDescriptor() { ::close(value_); }
    FileDescriptor(const FileDescriptor&) = delete;
    FileDescriptor& operator=(const FileDescriptor&) = delete;
    int get() const { return value_; }

private:
    int value_;
};

}  // namespace

struct TextFile::State {
    explicit State(const std::string& file_path)
        : path(file_path == "-" ? "standard input" : file_path), file(file_path), input(1 << 17) {
        struct stat status{};
        if (::fstat(file.get(), &status) != 0 || S_ISDIR(status.st_mode)) {
            fail(ExitCode::bad_file, "{}: is a folder, expected a file with text", path);
        }
        stream = file_path == "-" || !S_ISREG(status.st_mode);
        stored = stream ? 0 : status.st_size;
        while (end < longest_magic && load_more()) {
        }
        unpacker = decompressor_for({input.data(), end});
    }

    void refill() {
        at = end = 0;
        load_more();
    }

    // Appends bytes of the file to the unread part of the input. Returns false at the end of the file.
    bool load_more() {
        if (read_all) return false;
        ssize_t got = 0;
        do {
            got = ::read(file.get(), input.data() + end, input.size() - end);
        } while (got < 0 && errno == EINTR);
        if (got < 0) fail(ExitCode::environment, "{}: read failed: {}", path, std::strerror(errno));
        end += std::size_t(got);
        loaded += got;
        read_all = got == 0;
        return !read_all;
    }

    std::int64_t place() const { return loaded - std::int64_t(end - at); }

    std::int64_t read(char* out, std::int64_t bytes);

    std::int64_t read_plain(char* out, std::int64_t bytes) {
        const auto count = std::min(std::size_t(bytes), end - at);
        std::memcpy(out, input.data() + at, count);
        at += count;
        return std::int64_t(count);
    }

    std::int64_t unpack(char* out, std::int64_t bytes) {
        const Decompressor::Step step = unpacker->step({input.data() + at, end - at}, out, std::size_t(bytes));
        at += step.taken;
        if (!step.problem.empty()) {
            fail(ExitCode::bad_file, "{}: byte {}: damaged {} data ({})", path, place(), unpacker->name(),
                 step.problem);
        }
        return std::int64_t(step.written);
    }

    std::string path;
    FileDescriptor file;
    std::vector<char> input;
    std::size_t at = 0, end = 0;  // unread part of input
    std::int64_t loaded = 0, stored = 0;
    bool stream = false, read_all = false;
    std::unique_ptr<Decompressor> unpacker;  // null if the file is not compressed
    std::string peeked;                      // text that peek() has returned and read() has not
};

TextFile::TextFile(const std::string& path) : state_(std::make_unique<State>(path)) {}
TextFile::~TextFile() = default;

std::int64_t TextFile::read(char* out, std::int64_t bytes) {
    State& s = *state_;
    if (!s.peeked.empty()) {
        const auto count = std::min(std::size_t(bytes), s.peeked.size());
        std::memcpy(out, s.peeked.data(), count);
        s.peeked.erase(0, count);
        return std::int64_t(count);
    }
    return s.read(out, bytes);
}

std::string_view TextFile::peek(std::int64_t bytes) {
    std::string& text = state_->peeked;
    while (std::int64_t(text.size()) < bytes) {
        const std::size_t had = text.size();
        text.resize(std::size_t(bytes));
        const std::int64_t got = state_->read(text.data() + had, bytes - std::int64_t(had));
        text.resize(had + std::size_t(got));
        if (got == 0) break;
    }
    return text;
}

std::int64_t TextFile::State::read(char* out, std::int64_t bytes) {
    bytes = std::min<std::int64_t>(bytes, 1 << 30);
    while (bytes > 0) {
        if (at == end) refill();
        const bool ended = end == 0;
        if (!unpacker) return ended ? 0 : read_plain(out, bytes);
        if (ended && unpacker->may_end()) return 0;
        if (const std::int64_t got = unpack(out, bytes); got > 0) return got;
        if (ended && !unpacker->may_end()) {
            fail(ExitCode::bad_file, "{}: ends at byte {}, inside its compressed data: it is cut off", path, place());
        }
    }
    return 0;
}

void TextFile::skip(std::int64_t bytes) {
    std::vector<char> waste(1 << 16);
    while (bytes > 0) {
        const std::int64_t got = read(waste.data(), std::min(bytes, std::int64_t(waste.size())));
        if (got == 0)
            fail(ExitCode::bad_file, "{}: ends {} bytes before the position to continue from", state_->path, bytes);
        bytes -= got;
    }
}

bool TextFile::is_stream() const { return state_->stream; }
const char* TextFile::unpack_command() const { return state_->unpacker ? state_->unpacker->command() : ""; }
std::int64_t TextFile::stored_bytes() const { return state_->stored; }
std::int64_t TextFile::consumed_bytes() const { return state_->place(); }

}  // namespace gpas
