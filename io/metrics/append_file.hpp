// A file that grows by whole records: each is one write, so that a crash tears at most the last one. Internal to
// io/metrics.
#pragma once

#include "base/descriptor.hpp"

#include <filesystem>
#include <memory>
#include <string_view>

namespace gpas {

class AppendFile {
public:
    explicit AppendFile(const std::filesystem::path& path);  // Error(environment)
    // A new, empty file beside `path`, under a name of its own, which move_to() replaces. Error(environment).
    static std::unique_ptr<AppendFile> temporary_for(const std::filesystem::path& path);

    void append(std::string_view record);  // Error(environment)
    void sync();                           // to the disk; Error(environment)
    // Takes this name; a file that has it already is replaced. Error(environment).
    void move_to(const std::filesystem::path& path);

private:
    std::filesystem::path path_;
    Descriptor descriptor_;
};

}  // namespace gpas
