#include "io/metrics/append_file.hpp"

#include "kernels/error.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace gpas {

AppendFile::AppendFile(const std::filesystem::path& path) : path_(path) {
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail(ExitCode::environment, "{}: opening to append: {}", path.string(), std::strerror(errno));
}

AppendFile::~AppendFile() { ::close(descriptor_); }

void AppendFile::append(std::string_view record) {
    while (!record.empty()) {
        const ssize_t written = ::write(descriptor_, record.data(), record.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail(ExitCode::environment, "{}: writing: {}", path_.string(), std::strerror(errno));
        record.remove_prefix(std::size_t(written));
    }
}

void AppendFile::sync() {
    if (::fdatasync(descriptor_) != 0)
        fail(ExitCode::environment, "{}: fdatasync: {}", path_.string(), std::strerror(errno));
}

}  // namespace gpas
