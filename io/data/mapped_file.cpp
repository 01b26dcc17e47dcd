#include "io/data/mapped_file.hpp"

#include "base/error.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace gpas {

MappedFile::MappedFile(const std::string& path) : path_(path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        const bool absent = errno == ENOENT || errno == ENOTDIR;
        fail(absent ? ExitCode::bad_file : ExitCode::environment, "{}: cannot be opened: {}", path,
             std::strerror(errno));
    }
    struct stat status{};
    const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    void* address = nullptr;
    if (regular && status.st_size > 0) {
        address = ::mmap(nullptr, std::size_t(status.st_size), PROT_READ, MAP_SHARED, fd, 0);
    }
    const int error = errno;
    ::close(fd);
    if (!regular) fail(ExitCode::bad_file, "{}: is not a regular file", path);
    if (address == MAP_FAILED) {
        fail(ExitCode::environment, "{}: {} bytes cannot be mapped: {}", path, status.st_size, std::strerror(error));
    }
    data_ = static_cast<const unsigned char*>(address);
    size_bytes_ = status.st_size;
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(data_, other.data_);
    std::swap(size_bytes_, other.size_bytes_);
    return *this;
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<unsigned char*>(data_), std::size_t(size_bytes_));
}

}  // namespace gpas
