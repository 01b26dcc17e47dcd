// Runs under mpirun on 8 ranks. Trains a small model with every kind of layout, on virtual GPUs over NCCL and on the
// CPU. Each layout runs with several schedulers and numbers of hardware queues. The tests require no race, no deadlock,
// and the losses of the CPU.
#include "engine/run/device.hpp"
#include "engine/run/generate.hpp"
#include "kernels/cuda/gpu.hpp"
#include "tests/engine/layouts.hpp"
#include "tests/virtual_gpu/findings.hpp"
#include "tests/virtual_gpu/settings.hpp"

#include <array>

namespace gpas {
namespace {

using namespace layouts;
using virtual_gpu::Scheduler;

constexpr int steps = 2;
const Settings small{"model.layers=4",
                     "model.heads=8",
                     "model.kv_heads=4",
                     "model.head_dim=6",
                     "model.vocab_size=67",
                     "model.ffn_size=27",
                     "data.sequence_length=8",
                     "training.steps=" + std::to_string(steps),
                     "schedule.warmup_steps=1",
                     "training.global_batch_size=8",
                     "training.micro_batch_size=1",
                     "evaluation.every=2",
                     "evaluation.samples=2",
                     "optimizer.clip_grad=0"};

const std::string one_micro_batch = "training.global_batch_size=1";
const std::string tied = "model.tied_embeddings=true";

const std::vector<Layout> all_layouts{
    {"dp2", 2, {}},
    {"dp4 replicated", 4, {replicated}},
    {"dp8 small buckets", 8, {small_buckets}},
    {"tp2", 2, {tensor(2)}},
    {"tp2 sp", 2, {tensor(2), sequence}},
    {"tp4 sp dp2", 8, {tensor(4), sequence}},
    {"pp2", 2, {pipeline(2)}},
    {"pp2 gpipe", 2, {pipeline(2), schedule("gpipe")}},
    {"pp4 zb", 4, {pipeline(4), schedule("zb_h1")}},
    {"pp4 one micro-batch", 4, {pipeline(4), one_micro_batch}},
    {"pp2 interleaved", 2, {pipeline(2), schedule("interleaved"), two_chunks}},
    {"pp2 gpipe one micro-batch", 2, {pipeline(2), schedule("gpipe"), one_micro_batch}},
    {"pp4 zb one micro-batch", 4, {pipeline(4), schedule("zb_h1"), one_micro_batch}},
    {"tp2 sp pp2 dp2", 8, {tensor(2), sequence, pipeline(2)}},
    {"tp2 pp2 dp2 replicated tied", 8, {tensor(2), pipeline(2), replicated, tied}},
    {"tp2 sp pp2 interleaved dp2", 8, {tensor(2), sequence, pipeline(2), schedule("interleaved"), two_chunks}},
    {"tp2 sp pp4 zb", 8, {tensor(2), sequence, pipeline(4), schedule("zb_h1")}},
    {"pp4 dp2 tied", 8, {pipeline(4), tied}},
    {"tp2 sp overlapped", 2, {tensor(2), sequence, overlapped}},
    {"tp4 sp overlapped dp2", 8, {tensor(4), sequence, overlapped}},
    {"tp2 sp overlapped pp2 zb dp2", 8, {tensor(2), sequence, overlapped, pipeline(2), schedule("zb_h1")}},
    {"tp4 sp overlapped, uneven", 4, {tensor(4), sequence, overlapped, "data.sequence_length=7"}},
};

struct Behaviour {
    Scheduler scheduler;
    int queues;
    int nccl_version;
    int slow_gpu;  // ordinal; -1: no GPU is slow
};
const std::vector<Behaviour> behaviours{
    {Scheduler::random, 8, 23203, -1}, {Scheduler::latest, 1, 21805, -1}, {Scheduler::earliest, 32, 22809, 1},
    {Scheduler::random, 1, 22809, 0},  {Scheduler::latest, 32, 23203, 1}, {Scheduler::earliest, 8, 21805, -1},
    {Scheduler::random, 32, 21805, 1}, {Scheduler::latest, 8, 22809, 0},  {Scheduler::earliest, 1, 23203, -1}};
const char* const scheduler_names[] = {"earliest", "latest", "random"};

class VirtualLayouts : public Layouts {
protected:
    Job on_cpu(const std::string& name, const Layout& layout, const Settings& more = {}) const {
        return {layout.ranks, [=, this](std::unique_ptr<Communicator> group) {
                    train_on(Device::cpu, name, layout.settings + more, std::move(group));
                }};
    }
    Job on_gpus(const Layout& layout, const Behaviour& behaviour, const std::string& name) const {
        return {layout.ranks, [=, this](std::unique_ptr<Communicator> group) {
                    virtual_gpu::forget_devices();
                    virtual_gpu::use({.scheduler = behaviour.scheduler,
                                      .seed = unsigned(behaviour.queues),
                                      .queues = behaviour.queues,
                                      .hang_seconds = 20.0,
                                      .nccl_version = behaviour.nccl_version,
                                      .slow_gpu = behaviour.slow_gpu});
                    cuda::choose_device(group->rank());
                    train_on(Device::cuda, name, layout.settings, std::move(group));
                    EXPECT_EQ(virtual_gpu::take_findings(), std::vector<std::string>()) << name;
                }};
    }
    void train_on(Device device, const std::string& name, const Settings& settings,
                  std::unique_ptr<Communicator> group) const {
        train(tiny_config(shared_ + "tokens", shared_ + name, small + settings), std::move(group), 1,
              {.device = device});
    }
    void compare(const std::string& name, const std::string& base, double spread) {
        const std::vector<double> found = losses(shared_ + name), expected = losses(shared_ + base);
        ASSERT_EQ(found.size(), std::size_t(steps)) << name;
        EXPECT_LE(largest_difference(found, expected), 8.0 * spread) << name;
        EXPECT_NEAR(found.front(), expected.front(), 2e-6 * expected.front()) << name;
        const auto norms = numbers(shared_ + name, "gradient_norm"), right = numbers(shared_ + base, "gradient_norm");
        EXPECT_NEAR(norms.front(), right.front(), 1e-5 * right.front()) << name;
    }
};

struct Case {
    const Layout& layout;
    const Behaviour& behaviour;
    std::string name;
};

// All layouts with all behaviours take minutes. Without scripts/test --exhaustive each layout runs with one behaviour,
// and each behaviour with two or three layouts. "pp2 interleaved", in which two neighbours send to each other, then
// runs with one hardware queue.
std::vector<Case> cases() {
    std::vector<Case> all;
    for (std::size_t i = 0; i < all_layouts.size(); ++i)
        for (std::size_t k = 0; k < behaviours.size(); ++k)
            if (exhaustive() || k == i % behaviours.size())
                all.push_back({all_layouts[i], behaviours[k],
                               all_layouts[i].name + ", " + scheduler_names[int(behaviours[k].scheduler)] + ", " +
                                   std::to_string(behaviours[k].queues) + " queues"});
    return all;
}

TEST_F(VirtualLayouts, give_the_numbers_of_the_cpu) {
    const Layout alone{"alone", 1, {}};
    std::vector<Job> jobs{on_cpu("one rank", alone),
                          on_cpu("one rank, other order", alone, {"training.micro_batch_size=8"})};
    for (const Layout& layout : all_layouts) jobs.push_back(on_cpu(layout.name, layout));
    for (const Case& one : cases()) jobs.push_back(on_gpus(one.layout, one.behaviour, one.name));
    run_together(*world_, std::move(jobs));
    if (world_->rank() != 0) return;
    // The tolerance: the difference of two CPU runs that sum in different orders, plus 1e-6, because the GPU's
    // exponentials are accurate to a few units in the last place.
    const double spread =
        largest_difference(losses(shared_ + "one rank"), losses(shared_ + "one rank, other order")) + 1e-6;
    EXPECT_LT(spread, 1e-3);  // a larger tolerance would detect nothing
    for (const Case& one : cases()) compare(one.name, one.layout.name, spread);
}

using Texts = std::vector<std::vector<std::int32_t>>;

// Three texts of random weights, within and past the window, on a layout without data parallelism.
Texts generated(const RunConfig& config, Device device, std::unique_ptr<Communicator> group) {
    const MeshSize size{.tensor = int(config.parallel.tensor), .pipeline = int(config.parallel.pipeline)};
    Mesh mesh = make_mesh(std::move(group), size);
    const ReplicaShape shape = generation_shape(config, size, mesh.place, 3, 1, device);
    const std::unique_ptr<Context> context = make_context(shape);
    serve_device(mesh, *context, config.parallel.share_gpu);
    Replica replica(shape, *context, *mesh.tensor, *mesh.data);
    initialise(replica.context, replica.store, 5, *mesh.data);
    NextLogits next(replica, mesh);
    return generate(next, {{3, 8, 13}, {7}, {1, 2, 3, 4, 5}},
                    {.count = 10, .ends = {}, .sampling = {.temperature = 0.0}, .on_token = {}});
}

TEST_F(VirtualLayouts, generate_the_tokens_of_one_rank_on_the_cpu) {
    const auto config_of = [&](const Layout& layout) {
        const Settings settings = small + Settings{"model.init_std=0.5"} + layout.settings;
        return tiny_config(shared_ + "tokens", shared_ + layout.name, settings).values;
    };
    const Texts expected = generated(config_of({"one", 1, {}}), Device::cpu, make_self_communicator());
    ASSERT_EQ(expected.size(), 3U);
    std::vector<Job> jobs;
    for (const Layout& layout : {Layout{"alone", 1, {}}, Layout{"tp2", 2, {tensor(2)}}, Layout{"pp2", 2, {pipeline(2)}},
                                 Layout{"tp2 pp2", 4, {tensor(2), pipeline(2), schedule("interleaved"), two_chunks}}})
        jobs.push_back({layout.ranks, [&, layout](std::unique_ptr<Communicator> group) {
                            virtual_gpu::forget_devices();
                            virtual_gpu::use({.scheduler = Scheduler::random, .hang_seconds = 20.0});
                            cuda::choose_device(group->rank());
                            EXPECT_EQ(generated(config_of(layout), Device::cuda, std::move(group)), expected)
                                << layout.name;
                            EXPECT_EQ(virtual_gpu::take_findings(), std::vector<std::string>()) << layout.name;
                        }});
    run_together(*world_, std::move(jobs));
}

}  // namespace
}  // namespace gpas
