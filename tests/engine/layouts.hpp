// Layouts of up to 8 ranks, and runs of a small model on them: under mpirun.
#pragma once

#include "engine/run/saves.hpp"
#include "engine/step/replica.hpp"
#include "io/config/check.hpp"
#include "parallel/mpi/mpi_communicator.hpp"
#include "tests/support/exhaustive.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace gpas::layouts {

using namespace tiny_run;
using Settings = std::vector<std::string>;

struct Layout {
    std::string name;
    int ranks;
    Settings settings;
};

inline Settings operator+(Settings a, const Settings& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

inline std::string tensor(int n) { return "parallel.tensor=" + std::to_string(n); }
inline std::string pipeline(int n) { return "parallel.pipeline=" + std::to_string(n); }
inline const std::string sequence = "parallel.sequence_parallel=true";
inline const std::string overlapped = "parallel.tensor_overlap=true";
inline const std::string replicated = "parallel.sharded_optimizer=false";
inline const std::string small_buckets = "parallel.bucket_mib=0";
inline std::string schedule(const char* name) { return std::string("parallel.schedule=") + name; }
inline std::string recompute(const char* what) { return std::string("parallel.recompute=") + what; }
inline const std::string one_sample = "training.micro_batch_size=1";
inline const std::string two_chunks = "parallel.virtual_chunks=2";

// Every how many of the layouts are run.
#ifdef __SANITIZE_ADDRESS__
inline constexpr std::size_t layout_step = 3;  // they take minutes then
#else
inline constexpr std::size_t layout_step = 1;
#endif

using test_support::exhaustive;

// The steps of a run, a multiple of 3.
inline int run_steps() { return exhaustive() ? 30 : 6; }

// Sizes that divide by nothing: 215 feed-forward columns, 97 tokens, heads 6 wide in a stream of 20.
inline const Settings model{"model.hidden_size=20",
                            "model.ffn_size=215",
                            "model.vocab_size=97",
                            "model.layers=4",
                            "model.heads=8",
                            "model.kv_heads=4",
                            "model.head_dim=6",
                            "training.steps=" + std::to_string(run_steps()),
                            "training.global_batch_size=16",
                            "training.micro_batch_size=2",
                            "training.stop_after=1",
                            "evaluation.every=" + std::to_string(run_steps() / 2),
                            "optimizer.clip_grad=0",
                            "metrics.gpas_every=1"};

// Runs body(group) on the first `ranks` ranks.
template <class Body>
void on_ranks(Communicator& world, int ranks, Body&& body) {
    auto group = world.split(world.rank() < ranks ? 0 : 1, world.rank(), "layout");
    if (world.rank() < ranks) body(std::move(group));
    world.barrier("the end of a layout");
}

struct Job {
    int ranks;
    std::function<void(std::unique_ptr<Communicator> group)> body;
};

// Runs all jobs. Those that fit run at the same time, each on ranks of its own: ranks of a small job would otherwise wait for the
// ranks of a large one.
inline void run_together(Communicator& world, std::vector<Job> jobs) {
    std::stable_sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) { return a.ranks > b.ranks; });
    while (!jobs.empty()) {
        std::vector<Job> later;
        const Job* mine = nullptr;
        int taken = 0, color = 0, my_color = -1;
        for (const Job& job : jobs) {
            if (taken + job.ranks > world.size()) {
                later.push_back(job);
                continue;
            }
            if (world.rank() >= taken && world.rank() < taken + job.ranks) {
                mine = &job;
                my_color = color;
            }
            taken += job.ranks;
            ++color;
        }
        auto group = world.split(mine == nullptr ? color : my_color, world.rank(), "layouts");
        if (mine != nullptr) mine->body(std::move(group));
        world.barrier("the end of some layouts");
        jobs = std::move(later);
    }
}

inline void save_initial(const LoadedConfig& loaded, std::unique_ptr<Communicator> world) {
    const RunConfig& config = loaded.values;
    const MeshSize size = check_for_world(loaded, world->size());
    Mesh mesh = make_mesh(std::move(world), size, config.parallel.order);
    Replica replica(replica_shape(config, mesh.size, mesh.place, 1, true), *mesh.tensor, *mesh.data);
    initialise(replica.context, replica.store, config.seed, *mesh.data);
    RunSaves(*mesh.world, config, {}, replica.context, replica.store, [](const std::string&) {}).after_step({}, true);
}

inline double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
    double largest = a.size() == b.size() ? 0.0 : HUGE_VAL;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
    return largest;
}

class Layouts : public testing::Test {
protected:
    Layouts() : world_(MpiCommunicator(MPI_COMM_WORLD).duplicate()) {
        if (world_->rank() == 0) {
            directory_ = std::make_unique<Directory>();
            shared_ = *directory_ / "";
            write_tokens(shared_ + "tokens");
        }
        broadcast(*world_, shared_, 0, "the directory");
    }
    LoadedConfig config(const std::string& name, const Settings& settings) const {
        return tiny_config(shared_ + "tokens", shared_ + name, model + settings);
    }
    // Initial weights, one step, and the other steps from the checkpoint of the first.
    Job job(const std::string& name, int ranks, const Settings& settings) const {
        return {ranks, [=, this](std::unique_ptr<Communicator> group) {
                    save_initial(config(name + " initial", settings), group->duplicate());
                    train(config(name, settings), group->duplicate(), 1);
                    train(config(name, settings + Settings{"training.stop_after=" + std::to_string(run_steps())}),
                          std::move(group), 1);
                }};
    }

    std::unique_ptr<Communicator> world_;
    std::unique_ptr<Directory> directory_;
    std::string shared_;
};

}  // namespace gpas::layouts
