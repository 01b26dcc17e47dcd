// Checks for contradictions between keys, before any memory is allocated. Every function throws Error(usage) if it
// finds a contradiction. The message gives the place of the key at fault, and the values and places of the other keys
// involved.
#pragma once

#include "io/config/load.hpp"
#include "parallel/mesh.hpp"

#include <cstdint>

namespace gpas {

// The checks that apply to every command. load_config calls this function.
void check_config(const LoadedConfig& config);

// Checks that there are training data, which only `gpas train` needs.
void check_for_training(const LoadedConfig& config);

// The mesh of a job with `ranks` ranks. Fails if the parallel sizes do not divide, or do not match, that number.
MeshSize mesh_of_ranks(const LoadedConfig& config, std::int64_t ranks);
// As mesh_of_ranks. Also fails if the global batch cannot be divided among the data-parallel ranks, or if the pipeline
// schedule cannot run with the resulting number of micro-batches.
MeshSize check_for_world(const LoadedConfig& config, std::int64_t ranks);

// Fails if a rank needs more memory than its device has.
void check_memory(const LoadedConfig& config, std::int64_t needed_bytes, std::int64_t device_bytes);
// As above. `what` is the part of the message that states the needed and the available memory; this function adds the
// advice.
void check_memory(const LoadedConfig& config, std::int64_t needed_bytes, std::int64_t there_bytes,
                  const std::string& what);

}  // namespace gpas
