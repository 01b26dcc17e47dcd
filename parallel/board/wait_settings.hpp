// Settings for the waits and checks of all groups of a rank.
#pragma once

#include <filesystem>

namespace gpas {

struct WaitSettings {
    double timeout_seconds = 600.0;   // longest wait; 0: no limit
    bool verify = true;               // MPI ranks compare their collectives before data moves
    std::filesystem::path directory;  // for the file with the last calls, written after a timeout; empty: no file
};

}  // namespace gpas
