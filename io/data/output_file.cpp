#include "io/data/output_file.hpp"

#include "base/error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace gpas {
namespace {

constexpr std::int64_t buffer_bytes = 1 << 20;

[[noreturn]] void fail_system(const std::string& path, const char* what) {
    fail(ExitCode::environment, "{}: {} failed: {}", path, what, std::strerror(errno));
}

}  // namespace

OutputFile::OutputFile(std::string path, Mode mode) : path_(std::move(path)) {
    const int flags = O_RDWR | O_CLOEXEC | (mode == Mode::create ? O_CREAT | O_TRUNC : 0);
    file_ = Descriptor(::open(path_.c_str(), flags, 0666));
    if (!file_) fail_system(path_, "open for writing");
    struct stat status{};
    if (::fstat(file_.get(), &status) != 0) fail_system(path_, "fstat");
    size_bytes_ = status.st_size;
    buffer_.reserve(std::size_t(buffer_bytes));
}

void OutputFile::write(const void* data, std::int64_t bytes) {
    const char* source = static_cast<const char*>(data);
    if (std::int64_t(buffer_.size()) + bytes > buffer_bytes) flush();
    if (bytes >= buffer_bytes) {
        write_through(size_bytes_, source, bytes);
    } else {
        buffer_.insert(buffer_.end(), source, source + bytes);
    }
    size_bytes_ += bytes;
}

void OutputFile::write_at(std::int64_t offset, const void* data, std::int64_t bytes) {
    require(offset >= 0 && offset + bytes <= size_bytes_, "{}: write_at beyond the end", path_);
    flush();
    write_through(offset, static_cast<const char*>(data), bytes);
}

void OutputFile::write_through(std::int64_t offset, const char* data, std::int64_t bytes) {
    while (bytes > 0) {
        const ssize_t written = ::pwrite(file_.get(), data, std::size_t(bytes), offset);
        if (written < 0) {
            if (errno == EINTR) continue;
            fail_system(path_, "write");
        }
        data += written;
        offset += written;
        bytes -= written;
    }
}

void OutputFile::read_at(std::int64_t offset, void* data, std::int64_t bytes) {
    flush();
    char* target = static_cast<char*>(data);
    while (bytes > 0) {
        const ssize_t got = ::pread(file_.get(), target, std::size_t(bytes), offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail_system(path_, "read");
        if (got == 0)
            fail(ExitCode::bad_file, "{}: ends at byte {}, {} more bytes were expected", path_, offset, bytes);
        target += got;
        offset += got;
        bytes -= got;
    }
}

void OutputFile::truncate(std::int64_t bytes) {
    flush();
    if (::ftruncate(file_.get(), bytes) != 0) fail_system(path_, "truncate");
    size_bytes_ = bytes;
}

void OutputFile::flush() {
    write_through(size_bytes_ - std::int64_t(buffer_.size()), buffer_.data(), std::int64_t(buffer_.size()));
    buffer_.clear();
}

void OutputFile::sync() {
    flush();
    if (::fsync(file_.get()) != 0) fail_system(path_, "fsync");
}

void rename_durably(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) fail_system(to, "rename");
    const auto parent = std::filesystem::path(to).parent_path();
    const std::string folder = parent.empty() ? std::string(1, '.') : parent.string();
    const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened) fail_system(folder, "open");
    // EINVAL is ignored: some file systems do not support fsync of a directory.
    const int result = ::fsync(opened.get());
    if (result != 0 && errno != EINVAL) fail_system(folder, "fsync");
}

void write_file_durably(const std::string& path, const std::string& content) {
    const std::string partial = path + ".partial";
    {
        OutputFile file(partial, OutputFile::Mode::create);
        file.write(content.data(), std::int64_t(content.size()));
        file.sync();
    }
    rename_durably(partial, path);
}

}  // namespace gpas
