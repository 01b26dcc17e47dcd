// Owns a file descriptor and closes it in the destructor.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace gpas {

// Closing keeps errno, so that the error of an earlier call can still be reported.
class Descriptor {
public:
    explicit Descriptor(int value = -1) : value_(value) {}  // < 0: empty; the value that a failed open() returns
    Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(value_, other.value_);
        return *this;
    }
    ~Descriptor() { reset(); }

    explicit operator bool() const { return value_ >= 0; }
    int get() const { return value_; }
    void reset() {
        if (value_ < 0) return;
        const int error = errno;
        close(std::exchange(value_, -1));
        errno = error;
    }

private:
    int value_;
};

}  // namespace gpas
