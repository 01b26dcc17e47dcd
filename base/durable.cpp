#include "base/durable.hpp"

#include "base/bytes_text.hpp"
#include "base/error.hpp"

#include <cerrno>
#include <cstddef>
#include <cstring>

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace gpas {
namespace {

[[noreturn]] void fail_errno(const std::filesystem::path& path, const char* what) {
    fail(ExitCode::environment, "{}: {}: {}", path.string(), what, std::strerror(errno));
}

void sync(const std::filesystem::path& path, int flags) {
    const Descriptor descriptor(::open(path.c_str(), flags | O_CLOEXEC));
    if (!descriptor) fail_errno(path, "opening to sync");
    const int result = ::fsync(descriptor.get());
    // Some network file systems do not support fsync of a directory (EINVAL); their renames are synchronous.
    if (result != 0 && !((flags & O_DIRECTORY) && errno == EINVAL)) fail_errno(path, "fsync");
}

}  // namespace

TemporaryFile::~TemporaryFile() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove(path_, ignored);
}

void TemporaryFile::rename_to(const std::filesystem::path& target) {
    sync(path_, O_RDONLY);
    if (::rename(path_.c_str(), target.c_str()) != 0) fail_errno(path_, "renaming");
    path_.clear();
    sync_directory(target.parent_path());
}

void sync_directory(const std::filesystem::path& directory) { sync(directory, O_RDONLY | O_DIRECTORY); }

void check_free_space(const std::filesystem::path& directory, std::int64_t needed_bytes, std::string_view what) {
    struct statvfs info{};
    if (::statvfs(directory.c_str(), &info) != 0) fail_errno(directory, "asking for free space");
    const double free_bytes = double(info.f_bavail) * double(info.f_frsize);
    if (free_bytes < double(needed_bytes))
        fail(ExitCode::environment, "{}: {} free, but {} needs {}; make room", directory.string(),
             bytes_text(free_bytes), what, bytes_text(double(needed_bytes)));
}

PositionedFile::PositionedFile(const std::filesystem::path& path, Open how)
    : path_(path),
      descriptor_(::open(path.c_str(), O_RDWR | O_CLOEXEC | (how == Open::create ? O_CREAT | O_EXCL : 0), 0666)) {
    if (descriptor_) return;
    fail_errno(path_, how == Open::create ? "creating the file"
                                          : "this rank cannot write it (is the directory shared by all nodes?)");
}

void PositionedFile::write(std::int64_t at, const void* data, std::int64_t bytes, std::string_view what) {
    const auto* from = static_cast<const std::byte*>(data);
    while (bytes > 0) {
        const ::ssize_t written = ::pwrite(descriptor_.get(), from, std::size_t(bytes), at);
        if (written < 0 && errno == EINTR) continue;
        if (written == 0) errno = ENOSPC;
        if (written <= 0) fail_errno(path_, fmt::format("writing {}", what).c_str());
        from += written, at += written, bytes -= written;
    }
}

void PositionedFile::set_size(std::int64_t bytes) {
    if (::ftruncate(descriptor_.get(), bytes) != 0) fail_errno(path_, "setting the size");
}

void PositionedFile::sync() {
    if (::fsync(descriptor_.get()) != 0) fail_errno(path_, "fsync");
}

}  // namespace gpas
