#include "tests/virtual_gpu/shared_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace gpas::virtual_gpu {

std::string job_name() {
    const char* launcher = std::getenv("PMIX_NAMESPACE");
    std::string name = launcher != nullptr ? launcher : "process_" + std::to_string(getpid());
    std::replace(name.begin(), name.end(), '/', '_');
    return "/gpas_virtual_gpu_" + name;
}

SharedFile::SharedFile(const std::string& name, std::size_t bytes) : name_(name), bytes_(bytes) {
    const int file = shm_open(name.c_str(), O_RDWR | O_CREAT, 0600);
    if (file >= 0 && ftruncate(file, off_t(bytes)) == 0)
        data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (file >= 0) close(file);
    if (data_ == nullptr || data_ == MAP_FAILED) {
        std::perror(("virtual GPU: shared memory " + name).c_str());
        std::abort();
    }
}

SharedFile::~SharedFile() {
    munmap(data_, bytes_);
    unlink();
}

void SharedFile::unlink() {
    if (linked_) shm_unlink(name_.c_str());
    linked_ = false;
}

}  // namespace gpas::virtual_gpu
