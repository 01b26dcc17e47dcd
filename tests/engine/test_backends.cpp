// Run under mpirun, on 1 rank or 4: compares a whole run on a GPU (emulated or real) with the same run on the CPU.
// Initial weights are bitwise equal, losses and gradients agree within rounding; each run resumes from the other's
// checkpoint.
#include "engine/run/device.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/ops.hpp"
#include "parallel/mpi/mpi_communicator.hpp"
#include "tests/support/models.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace gpas {
namespace {

using namespace tiny_run;
using Settings = std::vector<std::string>;

constexpr int steps = 3;

Settings operator+(Settings a, const Settings& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// Heads 48 wide, for which attention has a kernel on tensor cores; 27 feed-forward columns, which nothing divides.
const Settings model{"model.head_dim=48",       "model.vocab_size=67",   "training.steps=" + std::to_string(steps),
                     "schedule.warmup_steps=1", "optimizer.clip_grad=0", "evaluation.every=2",
                     "metrics.gpas_every=2"};

const std::vector<Settings> rows{
    {"model.architecture=pre_gpas"},
    {"model.architecture=post_gpas", "model.gate.per_sublayer=true", "model.tied_embeddings=true"},
    {"model.architecture=sandwich_gpas", "parallel.recompute=selective"},
    {"model.architecture=reordered_gpas", "model.qkv_bias=true", "model.qk_norm=projection"},
    {"model.architecture=pre", "model.qkv_bias=true", "model.output_bias=true", "model.mlp_bias=true",
     "model.qk_norm=head", "model.sliding_window=7"},
    {"model.architecture=deeppost_gpas", "parallel.recompute=full", "training.micro_batch_size=2"}};

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
    double largest = a.size() == b.size() ? 0.0 : HUGE_VAL;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
    return largest;
}

class Backends : public testing::Test {
protected:
    Backends() : world_(MpiCommunicator(MPI_COMM_WORLD).duplicate()) {
        if (world_->rank() == 0) {
            directory_ = std::make_unique<Directory>();
            shared_ = *directory_ / "";
            write_tokens(shared_ + "tokens");
        }
        broadcast(*world_, shared_, 0, "the directory");
        cuda::choose_device(world_->rank() % cuda::device_count());
    }
    ~Backends() override { world_->barrier("the end of a test"); }

    Settings layout() const {
        if (world_->size() == 1) return {};
        return {"parallel.tensor=2", "parallel.pipeline=2", "parallel.sequence_parallel=true"};
    }
    void run(const std::string& name, Device device, const Settings& settings) {
        train(tiny_config(shared_ + "tokens", shared_ + name, model + layout() + settings), world_->duplicate(), 1,
              {.device = device});
        world_->barrier("the end of a run");
    }
    // A GPU's algorithms for products are those of the run's directory; chosen again, they may be others.
    void take_products_of(const std::string& from, const std::string& to) {
        if (world_->rank() == 0 && std::filesystem::exists(shared_ + from + "/matmul")) {
            std::filesystem::create_directories(shared_ + to);
            std::filesystem::copy(shared_ + from + "/matmul", shared_ + to + "/matmul");
        }
        world_->barrier("algorithms of products");
    }
    std::vector<double> losses_of(const std::string& name) const { return losses(shared_ + name); }

    std::unique_ptr<Communicator> world_;
    std::unique_ptr<Directory> directory_;
    std::string shared_;
};

TEST_F(Backends, train_alike_in_fp32) {
    for (const Settings& row : rows) {
        const std::string name = row.front();
        SCOPED_TRACE(name);
        run(name + " cpu", Device::cpu, row);
        run(name + " other order", Device::cpu, row + Settings{"training.micro_batch_size=1"});
        run(name + " cuda", Device::cuda, row);
        if (world_->rank() != 0) continue;
        // What another order of the same sums does on the CPU, a GPU may do; its exponentials are good to a few units.
        const std::vector<double> cpu = losses_of(name + " cpu");
        const double spread = largest_difference(losses_of(name + " other order"), cpu) + 1e-6;
        EXPECT_LT(spread, 1e-3);  // or it would bound nothing
        EXPECT_LE(largest_difference(losses_of(name + " cuda"), cpu), 8.0 * spread);
        EXPECT_NEAR(losses_of(name + " cuda").front(), cpu.front(), 2e-6 * cpu.front());
        const auto norms = numbers(shared_ + name + " cpu", "gradient_norm");
        const auto other = numbers(shared_ + name + " cuda", "gradient_norm");
        ASSERT_EQ(other.size(), std::size_t(steps));
        EXPECT_NEAR(other.front(), norms.front(), 1e-5 * norms.front());
    }
}

TEST_F(Backends, train_alike_in_bf16_within_its_rounding) {
    for (const Settings& row : rows) {
        const std::string name = row.front();
        SCOPED_TRACE(name);
        run(name + " fp32", Device::cpu, row);
        run(name + " bf16 cpu", Device::cpu, row + Settings{"compute.dtype=bf16"});
        run(name + " bf16 cuda", Device::cuda, row + Settings{"compute.dtype=bf16"});
        if (world_->rank() != 0) continue;
        const std::vector<double> cpu = losses_of(name + " bf16 cpu");
        const double rounding = largest_difference(cpu, losses_of(name + " fp32"));
        EXPECT_LT(rounding, 0.05);  // or it would bound nothing
        EXPECT_LE(largest_difference(losses_of(name + " bf16 cuda"), cpu), 2.0 * rounding);
        EXPECT_LE(largest_difference(losses_of(name + " bf16 cuda"), losses_of(name + " fp32")), 2.0 * rounding);
    }
}

TEST_F(Backends, resume_from_each_others_checkpoints) {
    const Settings first = rows[0] + Settings{"training.stop_after=1"};
    run("straight", Device::cpu, rows[0]);
    run("from cpu", Device::cpu, first);
    run("from cuda", Device::cuda, first);
    if (world_->rank() == 0) {
        // The first moments of step 1 are its gradients times a constant; a gate's is a sum that cancels.
        const auto here = tensors(shared_ + "from cpu", 1), there = tensors(shared_ + "from cuda", 1);
        ASSERT_EQ(here.size(), there.size());
        for (const auto& [tensor, values] : here)
            if (tensor.starts_with("adam_m/") && values.size() > 1) {
                EXPECT_LE(testing_models::relative_difference(there.at(tensor), values, values.size()), 2e-5) << tensor;
            }
    }
    run("from cpu", Device::cuda, rows[0]);
    run("from cuda", Device::cpu, rows[0]);
    run("cuda straight", Device::cuda, rows[0]);
    take_products_of("cuda straight", "cuda resumed");
    run("cuda resumed", Device::cuda, first);
    run("cuda resumed", Device::cuda, rows[0]);
    if (world_->rank() != 0) return;
    EXPECT_LE(largest_difference(losses_of("from cpu"), losses_of("straight")), 1e-4);
    EXPECT_LE(largest_difference(losses_of("from cuda"), losses_of("straight")), 1e-4);
    // On one device: never having stopped, to the bit.
    EXPECT_EQ(losses_of("cuda resumed"), losses_of("cuda straight"));
    EXPECT_EQ(tensors(shared_ + "cuda resumed", steps), tensors(shared_ + "cuda straight", steps));
}

}  // namespace
}  // namespace gpas
