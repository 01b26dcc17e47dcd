// What `gpas inspect` prints.
#pragma once

#include <filesystem>
#include <string>

namespace gpas {

struct InspectOptions {
    bool statistics = true;  // print norm, mean, min and max of every tensor, which reads all data
    bool verify = false;     // verify every block checksum; problems are listed at the end
    bool config = false;     // print the stored configuration
};

struct InspectReport {
    std::string text;
    std::string damage;  // the first problem that the verification found; empty: no problem
};

// Header, tensors, gate values. Error(bad_file) if the file is not a checkpoint or is damaged.
InspectReport inspect_report(const std::filesystem::path& file, const InspectOptions& options = {});

// Compares two checkpoints: header members that differ, tensors that only one file has, and for each common tensor the
// largest absolute difference and |a - b| / |a| (L2 norms). Error(bad_file).
std::string difference_report(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace gpas
