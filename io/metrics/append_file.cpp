#include "io/metrics/append_file.hpp"

#include "base/error.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>

#include <fcntl.h>
#include <unistd.h>

namespace gpas {

AppendFile::AppendFile(const std::filesystem::path& path)
    : path_(path), descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
    if (!descriptor_) fail(ExitCode::environment, "{}: opening to append: {}", path.string(), std::strerror(errno));
}

std::unique_ptr<AppendFile> AppendFile::temporary_for(const std::filesystem::path& path) {
    std::filesystem::path temporary = path;
    temporary += fmt::format(".{}.{:08x}.tmp", getpid(), std::random_device{}());
    return std::make_unique<AppendFile>(temporary);
}

void AppendFile::move_to(const std::filesystem::path& path) {
    if (::rename(path_.c_str(), path.c_str()) != 0)
        fail(ExitCode::environment, "{}: renaming it to {}: {}", path_.string(), path.string(), std::strerror(errno));
    path_ = path;
}

void AppendFile::append(std::string_view record) {
    while (!record.empty()) {
        const ssize_t written = ::write(descriptor_.get(), record.data(), record.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail(ExitCode::environment, "{}: writing: {}", path_.string(), std::strerror(errno));
        record.remove_prefix(std::size_t(written));
    }
}

void AppendFile::sync() {
    if (::fdatasync(descriptor_.get()) != 0)
        fail(ExitCode::environment, "{}: fdatasync: {}", path_.string(), std::strerror(errno));
}

}  // namespace gpas
