// Reads the new lines of a file to which another process appends, possibly on another machine with a shared file
// system.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace gpas {

class LineFollower {
public:
    explicit LineFollower(std::filesystem::path file) : file_(std::move(file)) {}

    // Calls take(line), without the newline, for each new complete line. An incomplete last line is taken by a later
    // call. If the file was replaced or truncated (a resumed run drops records), calls restart() first and then take()
    // for all lines. Returns false if the file does not exist or cannot be read now.
    bool read(const std::function<void()>& restart, const std::function<void(std::string_view)>& take);

    std::int64_t position() const { return position_; }  // number of bytes taken so far

private:
    bool same_file(int descriptor) const;
    bool read_lines(int descriptor, const std::function<void(std::string_view)>& take);
    void remember(std::string_view handed_over);

    std::filesystem::path file_;
    std::string buffer_;
    std::int64_t position_ = 0;
    std::uint64_t device_ = 0;
    std::uint64_t inode_ = 0;
    std::string tail_;  // the last bytes taken; they identify the file, because file systems reuse inode numbers
};

}  // namespace gpas
