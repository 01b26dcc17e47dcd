// Memory that the processes of one job share, under a name.
#pragma once

#include <cstddef>
#include <string>

namespace gpas::virtual_gpu {

// A name for this process's job: equal in all processes of one launcher, different from other jobs' names.
std::string job_name();

// Shared memory, initially zero. Pages take memory only when they are touched. The destructor or unlink() removes the
// name. The memory exists until the last process has unmapped it.
class SharedFile {
public:
    SharedFile(const std::string& name, std::size_t bytes);
    ~SharedFile();
    SharedFile(const SharedFile&) = delete;
    SharedFile& operator=(const SharedFile&) = delete;

    void* data() const { return data_; }
    void unlink();

private:
    std::string name_;
    std::size_t bytes_;
    void* data_ = nullptr;
    bool linked_ = true;
};

}  // namespace gpas::virtual_gpu
