// System calls that fail when a test says so: every write, fsync and rename of this process passes through here, those
// of the HDF5 library, too.
#pragma once

#include <cstdint>

namespace gpas::checkpoint_tests {

enum class Call { write, fsync, rename };

// The (after + 1)th such call from now on, and all that follow, fail with this errno, until the object is gone.
class FailingCalls {
public:
    FailingCalls(Call call, std::int64_t after, int error);
    ~FailingCalls();
    FailingCalls(const FailingCalls&) = delete;
    FailingCalls& operator=(const FailingCalls&) = delete;
    std::int64_t failed() const;  // calls
};

}  // namespace gpas::checkpoint_tests
