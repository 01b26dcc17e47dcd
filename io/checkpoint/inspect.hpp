// What `gpas inspect` prints.
#pragma once

#include <filesystem>
#include <string>

namespace gpas {

struct InspectOptions {
    bool statistics = true;  // norm, mean, min, max of every tensor: reads all data
    bool verify = false;     // check every block; problems are listed at the end
    bool config = false;     // print the stored configuration
};

struct InspectReport {
    std::string text;
    std::string damage;  // the first problem that verifying found; empty: none
};

// Header, tensors, gate values. Error(bad_file) if the file is not a checkpoint or is damaged.
InspectReport inspect_report(const std::filesystem::path& file, const InspectOptions& options = {});

// Header members that differ, tensors in one only, and for each common tensor the largest absolute difference and
// |a - b| / |a| (L2). Error(bad_file).
std::string difference_report(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace gpas
