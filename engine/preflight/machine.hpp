// What this process runs on, from the files in which Linux tells it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace gpas::preflight {

std::string program_hash();  // xxHash of the program that runs: 16 hexadecimal digits
std::string mpi_version();   // of the library, on one line
std::string cpu_model();
// What a program may be compiled for: "x86-64-v4 avx512_bf16".
std::string vector_instructions();
std::string gpu_driver();  // empty: none

// The same from the text of /proc/cpuinfo.
std::string vector_instructions(const std::string& cpuinfo);

struct AvailableMemory {
    std::int64_t bytes = 0;
    std::string limit;  // what sets it, for a message
};
// What the machine has available, or what the cgroups of this process leave of their limits where that is less. Caches
// of files, which give way, are not counted as taken. root: where /proc and /sys are found (for tests).
AvailableMemory available_memory(const std::filesystem::path& root = "/");

// Of the file system that holds this path. Error(environment).
std::int64_t free_bytes(const std::filesystem::path& path);

}  // namespace gpas::preflight
