// With the sharded optimizer new weights are gathered during the next forward pass. A gather that ends as late
// as it may, and leaves NaN where nobody waits for it, changes nothing.
#include "engine/guard/weight_check.hpp"
#include "engine/run/evaluate.hpp"
#include "engine/run/host_state.hpp"
#include "engine/step/step.hpp"
#include "io/checkpoint/blocks.hpp"
#include "tests/support/thread_communicator.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace gpas {
namespace {

using namespace tiny_run;

// What all_gather gives arrives when it is waited for, and not before: until then there is NaN in its place.
class LateTransfer final : public Transfer {
public:
    LateTransfer(Tensor whole, std::vector<std::byte> arrives) : whole_(whole), arrives_(std::move(arrives)) {
        std::memset(whole.data, 0xff, std::size_t(whole.bytes()));
    }
    void wait() override {
        if (!arrives_.empty()) std::memcpy(whole_.data, arrives_.data(), arrives_.size());
        arrives_.clear();
    }
    bool finished() override { return false; }

private:
    Tensor whole_;
    std::vector<std::byte> arrives_;
};

class LateGathers final : public Communicator {
public:
    explicit LateGathers(std::unique_ptr<Communicator> inner) : inner_(std::move(inner)) {}
    int rank() const override { return inner_->rank(); }
    int size() const override { return inner_->size(); }
    RankShared& shared() override { return inner_->shared(); }
    void all_reduce(Tensor t, ReduceOp op, const char* what) override { inner_->all_reduce(t, op, what); }
    void all_reduce(double* v, std::int64_t n, ReduceOp op, const char* what) override {
        inner_->all_reduce(v, n, op, what);
    }
    void all_reduce(std::int64_t* v, std::int64_t n, ReduceOp op, const char* what) override {
        inner_->all_reduce(v, n, op, what);
    }
    void reduce_scatter(Tensor part, Tensor whole, const char* what) override {
        inner_->reduce_scatter(part, whole, what);
    }
    void all_gather(Tensor whole, Tensor part, const char* what) override { inner_->all_gather(whole, part, what); }
    void broadcast(void* data, std::int64_t bytes, int root, const char* what) override {
        inner_->broadcast(data, bytes, root, what);
    }
    void barrier(const char* what) override { inner_->barrier(what); }
    std::unique_ptr<Transfer> start_send(Tensor t, int to, const char* what) override {
        return inner_->start_send(t, to, what);
    }
    std::unique_ptr<Transfer> start_receive(Tensor t, int from, const char* what) override {
        return inner_->start_receive(t, from, what);
    }
    std::unique_ptr<Transfer> start_all_reduce(Tensor t, ReduceOp op, const char* what) override {
        return inner_->start_all_reduce(t, op, what);
    }
    std::unique_ptr<Transfer> start_reduce_scatter(Tensor part, Tensor whole, const char* what) override {
        return inner_->start_reduce_scatter(part, whole, what);
    }
    std::unique_ptr<Transfer> start_all_gather(Tensor whole, Tensor part, const char* what) override {
        ++started;
        std::vector<std::byte> arrives(std::size_t(whole.bytes()));
        Tensor copy = whole;
        copy.data = arrives.data();
        inner_->all_gather(copy, part, what);
        return std::make_unique<LateTransfer>(whole, std::move(arrives));
    }
    std::unique_ptr<Communicator> split(int color, int key, const char* name) override {
        return inner_->split(color, key, name);
    }
    std::unique_ptr<Communicator> duplicate() override { return inner_->duplicate(); }

    int started = 0;

private:
    std::unique_ptr<Communicator> inner_;
};

struct Shared {  // what two data-parallel ranks train
    Shared(Communicator& world, const std::string& tokens, const std::vector<std::string>& changes, bool late)
        : config(tiny_config(tokens, "unused", changes).values),
          data(open_data(config.data, {.seed = config.seed,
                                       .vocab_size = config.model.vocab_size,
                                       .validation_samples = config.evaluation.samples,
                                       .evaluates = true})),
          mesh(make_mesh(world.duplicate(), {.data = 2})) {
        if (late) mesh.data = std::make_unique<LateGathers>(std::move(mesh.data));
        ReplicaShape shape = replica_shape(config, mesh.size, mesh.place, 1, true);
        shape.store.bucket_elements = 500;  // a few a layer
        replica = std::make_unique<Replica>(shape, *mesh.tensor, *mesh.data);
        step = std::make_unique<TrainingStep>(config, *replica, data.train, mesh);
        initialise(replica->context, replica->store, config.seed, *mesh.data);
    }
    StepResult run(std::int64_t i) {
        return step->run({.step = StepNumber::after(i),
                          .update = UpdateNumber::after(i),
                          .first_sample = i * config.training.global_batch_size});
    }
    RunConfig config;
    RunData data;
    Mesh mesh;
    std::unique_ptr<Replica> replica;
    std::unique_ptr<TrainingStep> step;
};

class GatheredWeights : public testing::Test {
protected:
    GatheredWeights() { write_tokens(tokens_); }

    // Of rank 0: loss and norm of each step, of an evaluation, and all weights.
    std::vector<double> curve(const std::vector<std::string>& changes, bool late) const {
        std::vector<double> numbers;
        run_as_threads(2, [&](Communicator& world) {
            Shared run(world, tokens_, changes, late);
            std::vector<double> mine;
            for (std::int64_t i = 0; i < 4; ++i) {
                const StepResult result = run.run(i);
                mine.insert(mine.end(), {result.loss, result.gradient_norm});
                if (i != 1) continue;
                mine.push_back(
                    evaluate(*run.replica, run.mesh, pipeline_shape(run.config, run.mesh.size), *run.data.valid, true)
                        .loss);
            }
            EXPECT_FALSE(
                compare_replicas(run.replica->context, run.replica->store, run.mesh, run.config.parallel.order));
            const Tensor all = run.replica->store.all_compute_weights();
            for (std::int64_t i = 0; i < all.elements(); ++i)
                mine.push_back(all.dtype == Dtype::bf16 ? double(float(all.as<bf16>()[i]))
                                                        : double(all.as<float>()[i]));
            if (world.rank() == 0) numbers = mine;
        });
        return numbers;
    }

    Directory directory_;
    std::string tokens_ = directory_ / "tokens";
};

TEST_F(GatheredWeights, come_in_time_for_every_pass) {
    for (const char* architecture : {"pre", "sandwich_gpas", "deeppost_gpas"})
        for (const char* dtype : {"fp32", "bf16"}) {
            const std::vector<std::string> changes{
                std::string("model.architecture=") + architecture, std::string("compute.dtype=") + dtype,
                std::string("model.tied_embeddings=") + (architecture == std::string("pre") ? "true" : "false")};
            const std::vector<double> at_once = curve(changes, false), late = curve(changes, true);
            for (const double number : late) ASSERT_TRUE(std::isfinite(number)) << architecture << ' ' << dtype;
            EXPECT_EQ(late, at_once) << architecture << ' ' << dtype;
        }
}

TEST_F(GatheredWeights, come_in_time_for_a_checkpoint) {
    run_as_threads(2, [&](Communicator& world) {
        Shared run(world, tokens_, {}, true);
        HostState saved(run.config, run.replica->context, run.replica->store, Share::written, false, true);
        run.run(0);
        saved.download();
        std::int64_t bad = 0, all = 0;
        for (const StateTensor& tensor : saved.tensors()) {
            if (tensor.data == nullptr) continue;  // named only
            const std::int64_t count = element_count(tensor.count);
            for (std::int64_t i = 0; i < count; ++i) bad += !std::isfinite(static_cast<const float*>(tensor.data)[i]);
            all += count;
        }
        EXPECT_GT(all, 0);
        EXPECT_EQ(bad, 0);
    });
}

// What the tests above would see if anybody forgot to wait.
TEST_F(GatheredWeights, are_not_there_before_they_are_waited_for) {
    run_as_threads(2, [&](Communicator& world) {
        Shared run(world, tokens_, {}, true);
        ParameterStore& store = run.replica->store;
        std::vector<Tensor> views;  // as a model keeps them
        for (std::size_t i = 0; i < store.specs().size(); ++i)
            if (store.specs()[i].layer == 1) views.push_back(store.compute(i));
        const auto missing = [&] {
            std::int64_t count = 0;
            for (const Tensor& view : views)
                for (std::int64_t k = 0; k < view.elements(); ++k) count += std::isnan(view.as<float>()[k]);
            return count;
        };
        EXPECT_EQ(missing(), 0);
        EXPECT_EQ(run.run(0).action, StepAction::update);
        EXPECT_GT(static_cast<LateGathers&>(*run.mesh.data).started, 4);  // bucket by bucket
        EXPECT_GT(missing(), 0);
        store.await_layer(0);
        EXPECT_GT(missing(), 0);
        store.await_layer(1);
        EXPECT_EQ(missing(), 0);
    });
}

}  // namespace
}  // namespace gpas
