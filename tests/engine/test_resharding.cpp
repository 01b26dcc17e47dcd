// Run under mpirun on 8 ranks: a run resumes on any layout from a checkpoint of any other.
#include "tests/engine/layouts.hpp"

namespace gpas {
namespace {

using namespace layouts;
namespace fs = std::filesystem;

const std::vector<Layout> all_layouts{
    {"one", 1, {}},
    {"dp3", 3, {"training.micro_batch_size=4"}},
    {"dp8", 8, {"training.micro_batch_size=1"}},
    {"dp4 replicated", 4, {replicated}},
    {"tp4 sp", 4, {tensor(4), sequence}},
    {"tp2 dp2 small buckets", 4, {tensor(2), small_buckets}},
    {"pp4 zb", 4, {pipeline(4), schedule("zb_h1")}},
    {"uneven pp2 dp2", 4, {pipeline(2), "parallel.stage_layers=1,3"}},
    {"interleaved tp2 sp", 4, {pipeline(2), schedule("interleaved"), two_chunks, tensor(2), sequence}},
    {"tp2 sp pp2 dp2", 8, {tensor(2), sequence, pipeline(2)}},
    {"pp3", 3, {pipeline(3)}},
};
const Settings run_settings{"model.architecture=post_gpas", "model.gate.per_sublayer=true",  "model.qkv_bias=true",
                            "model.output_bias=true",       "model.mlp_bias=true",           "model.qk_norm=projection",
                            "model.tied_embeddings=true",   "training.global_batch_size=24", "evaluation.every=0"};

// The step after which a run changes its layout; it ends after twice as many.
int half() { return run_steps() / 3; }

class Resharding : public Layouts {
protected:
    LoadedConfig on(const Layout& layout, const std::string& name, std::int64_t stop) const {
        return config(name, run_settings + layout.settings + Settings{"training.stop_after=" + std::to_string(stop)});
    }
    Job training(const Layout& layout, const std::string& name, std::int64_t stop) const {
        return {layout.ranks,
                [=, this](std::unique_ptr<Communicator> group) { train(on(layout, name, stop), std::move(group), 1); }};
    }
    fs::path checkpoint(const std::string& name, std::int64_t step) const {
        return fs::path(shared_ + name) / "checkpoints" / checkpoint_file_name(step);
    }
    // Loads it and saves what it has loaded, without a step between.
    Job load_and_save(const Layout& layout, const std::string& from, const std::string& to) const {
        return {layout.ranks, [=, this](std::unique_ptr<Communicator> group) {
                    const LoadedConfig loaded = on(layout, to, half());
                    const RunConfig& config = loaded.values;
                    const MeshSize size = check_for_world(loaded, group->size());
                    Mesh mesh = make_mesh(std::move(group), size, config.parallel.order);
                    Replica replica(replica_shape(config, mesh.size, mesh.place, 1, true), *mesh.tensor, *mesh.data);
                    const Progress progress =
                        load_run({*mesh.world, *mesh.data, config, replica.context, replica.store},
                                 checkpoint(from, half()), true);
                    RunSaves(*mesh.world, config, {}, replica.context, replica.store, [](const std::string&) {
                    }).after_step(progress, true);
                }};
    }
    void copy_run(const std::string& from, const std::string& to) {
        if (world_->rank() == 0) fs::copy(shared_ + from, shared_ + to, fs::copy_options::recursive);
        world_->barrier("a copied run");
    }
};

// The layouts that load a layout's checkpoint: itself and two more; with --exhaustive, all of them.
std::vector<std::size_t> goals(std::size_t from, std::size_t count) {
    std::vector<std::size_t> all;
    for (std::size_t step = 0; step < count; ++step)
        if (exhaustive() || step == 0 || step == 1 || step == 4) all.push_back((from + step) % count);
    return all;
}

TEST_F(Resharding, any_layout_loads_what_any_other_has_saved) {
    std::vector<Layout> layouts;
    for (std::size_t i = 0; i < all_layouts.size(); i += layout_step) layouts.push_back(all_layouts[i]);
    // What another order of the same sums does to the curve.
    std::vector<Job> jobs;
    for (const char* micro : {"1", "2", "4", "8"})
        jobs.push_back(training({"", 1, {std::string("training.micro_batch_size=") + micro}},
                                std::string("micro ") + micro, 2 * half()));
    for (const Layout& from : layouts) {
        jobs.push_back(training(from, from.name, half()));
        jobs.push_back(training(from, from.name + " whole", 2 * half()));
    }
    run_together(*world_, std::move(jobs));

    std::vector<Job> resumed;
    for (std::size_t i = 0; i < layouts.size(); ++i)
        for (const std::size_t j : goals(i, layouts.size())) {
            const std::string& from = layouts[i].name;
            const std::string name = from + " to " + layouts[j].name;
            copy_run(from, name);
            resumed.push_back(training(layouts[j], name, 2 * half()));
            resumed.push_back(load_and_save(layouts[j], from, name + " saved"));
        }
    run_together(*world_, std::move(resumed));
    if (world_->rank() != 0) return;

    const std::vector<double> expected = losses(shared_ + "micro 2");
    double spread = 0.0;
    for (const char* micro : {"micro 1", "micro 4", "micro 8"})
        spread = std::max(spread, largest_difference(expected, losses(shared_ + micro)));
    EXPECT_LT(spread, 1e-3);  // a larger tolerance would detect nothing
    int pairs = 0;
    for (std::size_t i = 0; i < layouts.size(); ++i) {
        const std::string& from = layouts[i].name;
        for (const std::size_t j : goals(i, layouts.size())) {
            const std::string name = from + " to " + layouts[j].name;
            SCOPED_TRACE(name);
            EXPECT_TRUE(tensors(shared_ + name + " saved", half()) == tensors(shared_ + from, half()));
            EXPECT_LE(largest_difference(losses(shared_ + name), expected), 8.0 * spread);
            ++pairs;
        }
        // On the same layout, nothing shows that the run was stopped.
        EXPECT_EQ(losses(shared_ + from + " whole"), losses(shared_ + from + " to " + from)) << from;
        EXPECT_TRUE(tensors(shared_ + from + " whole", 2 * half()) ==
                    tensors(shared_ + from + " to " + from, 2 * half()))
            << from;
    }
    EXPECT_EQ(pairs, int(layouts.size() * goals(0, layouts.size()).size()));
    std::printf("%d pairs of layouts\n", pairs);
}

}  // namespace
}  // namespace gpas
