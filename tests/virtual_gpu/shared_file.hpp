// Memory that the processes of one job share, under a name.
#pragma once

#include <cstddef>
#include <string>

namespace gpas::virtual_gpu {

// Of this process's job: the same in every process of one launcher, no other job's.
std::string job_name();

// Zeroes at first; takes memory only as it is touched. The name goes when the object does, or when unlink() is called;
// the memory goes with the last process that has it.
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
