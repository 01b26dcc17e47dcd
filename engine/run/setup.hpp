// What a run trains with: the mesh of its ranks, its data, its device and its replica of the model.
#pragma once

#include "engine/run/algorithms.hpp"
#include "engine/run/device.hpp"
#include "engine/run/evaluate_tasks.hpp"
#include "engine/run/run_state.hpp"
#include "engine/step/replica.hpp"
#include "io/config/load.hpp"
#include "io/data/batch.hpp"
#include "parallel/mesh.hpp"

#include <memory>
#include <string>
#include <vector>

namespace gpas {

// Everything that exists before the first step and as long as the run. The members are made in this order, which is
// also the order of their collectives. The weights are allocated and not yet set.
struct RunSetup {
    // Keeps a reference to config.values. Opens the data and the tasks, checks device and memory, chooses the algorithms, and
    // allocates the replica. Collective over the mesh; AgreedError on every rank.
    RunSetup(const LoadedConfig& config, Mesh mesh, int threads, const ChosenDevice& device);
    RunSetup(const RunSetup&) = delete;
    RunSetup& operator=(const RunSetup&) = delete;

    Communicator& world() const { return *mesh.world; }

    const RunConfig& config;
    Mesh mesh;
    int threads;
    ChosenDevice device;
    RunData data;
    std::vector<ChoiceTask> tasks;         // evaluation.tasks; empty if evaluation.every is 0
    std::unique_ptr<Tokenizer> tokenizer;  // for the tasks; null without them
    ReplicaShape shape;
    std::unique_ptr<Context> context;
    ChosenAlgorithms algorithms;  // before `transport` and `replica`: the timing needs GPU memory
    std::string transport;        // of collectives on device memory: a line for the log, empty on the CPU
    std::unique_ptr<Replica> replica;
};

// What the run's checkpoints record about its configuration, data and layout. AgreedError(bad_file) if the data differ
// between ranks. Collective.
RunIdentity identity_of(const RunSetup& setup);

// Lines for the log that describe the run: device, algorithms, transport, model, layout, memory, data, and
// configuration keys without effect.
std::vector<std::string> setup_lines(const RunSetup& setup, std::int64_t micro_batches);

// AgreedError(environment) if less than 96 MiB of host memory are left on a rank: libraries (libhdf5 for example)
// crash without memory. Collective.
void require_headroom(Communicator& world);

}  // namespace gpas
