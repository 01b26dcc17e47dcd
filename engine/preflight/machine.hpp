// Facts about the program and machine of this process, from files of Linux.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace gpas::preflight {

std::string program_hash();  // xxHash of the running executable: 16 hexadecimal digits
std::string mpi_version();   // of the MPI library, on one line
std::string cpu_model();
// The instruction sets that a program for this CPU may use: "x86-64-v4 avx512_bf16".
std::string vector_instructions();
std::string gpu_driver();  // version of the NVIDIA driver; empty: no driver

// The instruction sets, from the text of /proc/cpuinfo.
std::string vector_instructions(const std::string& cpuinfo);

struct AvailableMemory {
    std::int64_t bytes = 0;
    std::string limit;  // what limits it (machine or cgroup), for a message
};
// The smaller of the machine's available memory and the rest of this process's cgroup limits. File caches count as
// available, since the kernel frees them on demand. root: directory of /proc and /sys (for tests).
AvailableMemory available_memory(const std::filesystem::path& root = "/");

// Free bytes of the file system that holds this path. Error(environment).
std::int64_t free_bytes(const std::filesystem::path& path);

}  // namespace gpas::preflight
