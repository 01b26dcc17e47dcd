// What the checks of `gpas preflight` share, and one function per check. Used by this folder only.
#pragma once

#include "engine/plan/plan.hpp"
#include "engine/preflight/judge.hpp"
#include "engine/preflight/preflight.hpp"
#include "engine/preflight/report.hpp"
#include "io/config/load.hpp"

namespace gpas::preflight {

struct Job {
    LoadedConfig loaded;  // after check_config: the configuration of most ranks
    Communicator& world;
    const MpiSession& mpi;
    Options options;
    Hosts hosts{};  // name of the host of each rank
    Report report{};
    MeshSize mesh_size{};         // set by check_config
    int threads = 1;              // of this rank
    Device device = Device::cpu;  // set by choose_and_check_device
    ReplicaPlan plan{};           // memory of this rank; set by choose_and_check_device

    const RunConfig& config() const { return loaded.values; }
};

// Each check adds a row to the report, with a finding per difference or slow part. Collective over job.world.
// check_ranks.cpp: are the ranks equal?
void check_program(Job& job);
void check_config(Job& job);
void check_processors(Job& job);
void check_clocks(Job& job);
// check_files.cpp
void check_data(Job& job);
void check_directory(Job& job);
void check_space(Job& job);
// check_memory.cpp. AgreedError if the run cannot use the device or does not fit into it.
void choose_and_check_device(Job& job);
void check_memory(Job& job);
// check_speed.cpp
void check_links(Job& job);
void check_speed(Job& job);

}  // namespace gpas::preflight
