// A file to which records are appended. Each record is one write(), so a crash can damage only the last record.
// Internal to io/metrics.
#pragma once

#include "base/descriptor.hpp"

#include <filesystem>
#include <memory>
#include <string_view>

namespace gpas {

class AppendFile {
public:
    explicit AppendFile(const std::filesystem::path& path);  // opens or creates the file; Error(environment)
    // A new, empty file in the directory of `path`, with a unique name, which move_to() changes. Error(environment).
    static std::unique_ptr<AppendFile> temporary_for(const std::filesystem::path& path);

    void append(std::string_view record);  // Error(environment)
    void sync();                           // to the disk; Error(environment)
    // Renames the file to `path`, and replaces a file of this name. Error(environment).
    void move_to(const std::filesystem::path& path);

private:
    std::filesystem::path path_;
    Descriptor descriptor_;
};

}  // namespace gpas
