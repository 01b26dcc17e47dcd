// A file that grows by whole records: each is one write, so that a crash tears at most the last one. Internal to
// io/metrics.
#pragma once

#include <filesystem>
#include <string_view>

namespace gpas {

class AppendFile {
public:
    explicit AppendFile(const std::filesystem::path& path);  // Error(environment)
    ~AppendFile();
    AppendFile(const AppendFile&) = delete;
    AppendFile& operator=(const AppendFile&) = delete;

    void append(std::string_view record);  // Error(environment)
    void sync();                           // to the disk; Error(environment)

private:
    std::filesystem::path path_;
    int descriptor_ = -1;
};

}  // namespace gpas
