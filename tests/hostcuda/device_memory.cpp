#include "tests/hostcuda/device_memory.hpp"

#include <sys/mman.h>

#include <map>
#include <new>

namespace gpas::hostcuda {
namespace {

struct Memory {
    std::map<void*, std::size_t> regions;  // address, bytes
    int open = 0;                          // nested accesses

    void protect(int rights) const {
        for (const auto& [address, bytes] : regions) mprotect(address, bytes, rights);
    }
};

Memory& memory() {  // one device for all threads of a test; they take turns
    static Memory all;
    return all;
}

}  // namespace

void* allocate_device(std::int64_t bytes) {
    constexpr std::size_t page_bytes = 4096;
    const std::size_t size = (std::size_t(bytes) + page_bytes - 1) / page_bytes * page_bytes;
    const int rights = memory().open > 0 ? PROT_READ | PROT_WRITE : PROT_NONE;
    void* address = mmap(nullptr, size, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED) throw std::bad_alloc();
    memory().regions[address] = size;
    return address;
}

void release_device(void* address) noexcept {
    const auto found = memory().regions.find(address);
    if (found == memory().regions.end()) return;
    munmap(address, found->second);
    memory().regions.erase(found);
}

DeviceAccess::DeviceAccess() {
    if (memory().open++ == 0) memory().protect(PROT_READ | PROT_WRITE);
}

DeviceAccess::~DeviceAccess() {
    if (--memory().open == 0) memory().protect(PROT_NONE);
}

}  // namespace gpas::hostcuda
