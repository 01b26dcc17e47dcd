#include "io/metrics/line_follower.hpp"

#include "base/descriptor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace gpas {
namespace {

constexpr std::size_t first_buffer_bytes = 1 << 20;
constexpr std::size_t most_tail_bytes = 64;

// Reads all available bytes, at most `bytes`. Returns their number, or -1 on an error.
ssize_t read_at(int descriptor, char* to, std::size_t bytes, std::int64_t position) {
    std::size_t done = 0;
    while (done < bytes) {
        const ssize_t n = pread(descriptor, to + done, bytes - done, off_t(position) + off_t(done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        done += std::size_t(n);
    }
    return ssize_t(done);
}

}  // namespace

bool LineFollower::same_file(int descriptor) const {
    struct stat now = {};
    if (fstat(descriptor, &now) != 0 || now.st_dev != device_ || now.st_ino != inode_) return false;
    char found[most_tail_bytes];
    const ssize_t n = read_at(descriptor, found, tail_.size(), position_ - std::int64_t(tail_.size()));
    return n == ssize_t(tail_.size()) && std::equal(tail_.begin(), tail_.end(), found);
}

void LineFollower::remember(std::string_view handed_over) {
    position_ += std::int64_t(handed_over.size());
    tail_ = handed_over.substr(handed_over.size() - std::min(handed_over.size(), most_tail_bytes));
}

bool LineFollower::read_lines(int descriptor, const std::function<void(std::string_view)>& take) {
    if (buffer_.empty()) buffer_.resize(first_buffer_bytes);
    for (;;) {
        const ssize_t n = read_at(descriptor, buffer_.data(), buffer_.size(), position_);
        if (n < 0) return false;
        const std::string_view found(buffer_.data(), std::size_t(n));
        const std::size_t whole = found.rfind('\n') + 1;  // npos + 1 = 0
        for (std::size_t begin = 0; begin < whole;) {
            const std::size_t end = found.find('\n', begin);
            take(found.substr(begin, end - begin));
            begin = end + 1;
        }
        if (whole > 0) remember(found.substr(0, whole));
        if (found.size() < buffer_.size()) return true;
        if (whole == 0) buffer_.resize(2 * buffer_.size());
    }
}

bool LineFollower::read(const std::function<void()>& restart, const std::function<void(std::string_view)>& take) {
    const Descriptor descriptor(open(file_.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat now = {};
    if (!descriptor || fstat(descriptor.get(), &now) != 0) return false;
    if (!S_ISREG(now.st_mode)) return false;
    if (!same_file(descriptor.get())) {
        restart();
        position_ = 0;
        tail_.clear();
        device_ = now.st_dev;
        inode_ = now.st_ino;
    }
    return read_lines(descriptor.get(), take);
}

}  // namespace gpas
