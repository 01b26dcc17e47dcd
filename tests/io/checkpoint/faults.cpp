#include "tests/io/checkpoint/faults.hpp"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

namespace {

struct Fault {
    std::atomic<std::int64_t> calls_left = -1;  // negative: none fails
    std::atomic<std::int64_t> failed = 0;
    std::atomic<int> error = 0;
};
Fault faults[3];

bool fails(gpas::checkpoint_tests::Call call) {
    Fault& fault = faults[int(call)];
    if (fault.calls_left < 0) return false;
    if (fault.calls_left > 0) {
        --fault.calls_left;
        return false;
    }
    ++fault.failed;
    errno = fault.error;
    return true;
}

template <class Function>
Function* real(const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool is_file(int descriptor) {
    struct stat info{};
    return fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode);
}

using gpas::checkpoint_tests::Call;

}  // namespace

// The definitions of a program come before those of libraries. With 64-bit offsets pwrite is pwrite64.
extern "C" {
ssize_t pwrite(int descriptor, const void* data, std::size_t bytes, off_t at) {
    static const auto next = real<ssize_t(int, const void*, std::size_t, off_t)>("pwrite64");
    return fails(Call::write) ? -1 : next(descriptor, data, bytes, at);
}
// What a library calls that was built without them.
ssize_t short_pwrite(int descriptor, const void* data, std::size_t bytes, off_t at) __asm__("pwrite");
ssize_t short_pwrite(int descriptor, const void* data, std::size_t bytes, off_t at) {
    return pwrite(descriptor, data, bytes, at);
}
ssize_t write(int descriptor, const void* data, std::size_t bytes) {
    static const auto next = real<ssize_t(int, const void*, std::size_t)>("write");
    return is_file(descriptor) && fails(Call::write) ? -1 : next(descriptor, data, bytes);
}
int fsync(int descriptor) {
    static const auto next = real<int(int)>("fsync");
    return fails(Call::fsync) ? -1 : next(descriptor);
}
int rename(const char* from, const char* to) noexcept {
    static const auto next = real<int(const char*, const char*)>("rename");
    return fails(Call::rename) ? -1 : next(from, to);
}
}

namespace gpas::checkpoint_tests {

FailingCalls::FailingCalls(Call call, std::int64_t after, int error) {
    Fault& fault = faults[int(call)];
    fault.failed = 0;
    fault.error = error;
    fault.calls_left = after;
}
FailingCalls::~FailingCalls() {
    for (Fault& fault : faults) fault.calls_left = -1;
}
std::int64_t FailingCalls::failed() const { return faults[0].failed + faults[1].failed + faults[2].failed; }

}  // namespace gpas::checkpoint_tests
