// Chooses the cuBLASLt algorithms of a run's matrix products on GPUs: timed before the first step, equal on all ranks,
// and saved in the run's directory so that a resumed run computes the same bits.
#pragma once

#include "engine/run/shared_choices.hpp"
#include "engine/step/replica.hpp"

#include <filesystem>
#include <string>

namespace gpas {

struct ChosenAlgorithms {
    SharedChoices shared;
    std::string machine;
    std::filesystem::path file;  // that keep_algorithms() writes; empty: the choices are not saved
    std::string note;            // a line for the log; empty on the CPU
};

// Sets the algorithms of all products of the ranks' replicas: those in <directory>/matmul/choices.txt if an earlier
// start on the same GPU and library version saved them, else the fastest by a timing now (see share_choices).
// directory: empty if choices are neither read nor saved. Temporarily allocates GPU memory for the operands of one
// product, so call it before the replica allocates and before groups use GPUs. No effect on the CPU. Collective over
// the world; Error(environment) on every rank.
ChosenAlgorithms choose_algorithms(Communicator& world, const ReplicaShape& shape, Context& context,
                                   const std::filesystem::path& directory);

// Writes the file if an algorithm was timed. To be called on rank 0 only, once this start owns the run's directory.
// Error(environment).
void keep_algorithms(const ChosenAlgorithms& algorithms);

}  // namespace gpas
