// The algorithms of a run's matrix products on GPUs: timed before the first step, the same on all ranks, kept beside
// the run so that it computes the same bits when it goes on.
#pragma once

#include "engine/run/shared_choices.hpp"
#include "engine/step/replica.hpp"

#include <filesystem>
#include <string>

namespace gpas {

struct ChosenAlgorithms {
    SharedChoices shared;
    std::string machine;
    std::filesystem::path file;  // empty: they are kept nowhere
    std::string note;            // a line for the log; empty on the CPU
};

// All products of the ranks' replicas take the algorithms that <directory>/matmul/choices.txt has of an earlier start
// on the same GPU and library, or else the fastest by a timing now (see share_choices). directory: empty for neither.
// Needs memory of the GPU for the operands of one product, which is given back: call it before the replica takes its
// own, and before groups use GPUs. Nothing on the CPU. Collective over the world; Error(environment) on every rank.
ChosenAlgorithms choose_algorithms(Communicator& world, const ReplicaShape& shape, Context& context,
                                   const std::filesystem::path& directory);

// Writes the file if anything was timed; for rank 0, when the directory is the run's. Error(environment).
void keep_algorithms(const ChosenAlgorithms& algorithms);

}  // namespace gpas
