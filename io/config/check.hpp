// Contradictions between keys, found before anything is allocated. Each throws Error(usage) with the place of the key
// at fault and, for the other keys that take part, their values and places.
#pragma once

#include "io/config/load.hpp"
#include "parallel/mesh.hpp"

#include <cstdint>

namespace gpas {

// What holds for every command; load_config has called it already.
void check_config(const LoadedConfig& config);

// What `gpas train` needs beyond that: data.
void check_for_training(const LoadedConfig& config);

// The mesh of a job of `ranks` ranks.
MeshSize mesh_of_ranks(const LoadedConfig& config, std::int64_t ranks);
// The same, and that a training step can be shared among them.
MeshSize check_for_world(const LoadedConfig& config, std::int64_t ranks);

// That what a rank needs, its device has.
void check_memory(const LoadedConfig& config, std::int64_t needed_bytes, std::int64_t device_bytes);
// The same in other words: `what` says what is needed and what is there, without the advice.
void check_memory(const LoadedConfig& config, std::int64_t needed_bytes, std::int64_t there_bytes,
                  const std::string& what);

}  // namespace gpas
