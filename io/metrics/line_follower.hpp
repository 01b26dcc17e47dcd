// Follows a file that another process appends lines to, perhaps on another machine over a shared file system.
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

    // Hands over each whole line that is new, without its newline. A last line without one is waited for. Where the
    // file was replaced or cut (a run that resumed drops records), `restart` is called and all lines come again. False:
    // there is no such file, or it cannot be read now.
    bool read(const std::function<void()>& restart, const std::function<void(std::string_view)>& take);

    std::int64_t position() const { return position_; }  // bytes handed over

private:
    bool same_file(int descriptor) const;
    bool read_lines(int descriptor, const std::function<void(std::string_view)>& take);
    void remember(std::string_view handed_over);

    std::filesystem::path file_;
    std::string buffer_;
    std::int64_t position_ = 0;
    std::uint64_t device_ = 0;
    std::uint64_t inode_ = 0;
    std::string tail_;  // the last bytes handed over: file systems give the inode of a removed file to the next one
};

}  // namespace gpas
