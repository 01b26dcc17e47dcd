// The same run is the same run: for any number of threads, and however often it was stopped and resumed.
#include "base/error.hpp"
#include "kernels/ops.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

namespace gpas {
namespace {

using namespace tiny_run;

class Reproducibility : public testing::Test {
protected:
    Reproducibility() { write_tokens(tokens_); }

    void run(const std::string& name, const std::vector<std::string>& changes, int threads = 1) const {
        train(tiny_config(tokens_, directory_ / name, changes), make_self_communicator(), threads);
    }

    Directory directory_;
    std::string tokens_ = directory_ / "tokens";
};

TEST_F(Reproducibility, any_number_of_threads_gives_the_same_fifty_steps_to_the_bit) {
    for (const char* architecture : {"pre_gpas", "deeppost_gpas"})
        for (const char* dtype : {"fp32", "bf16"}) {
            const std::string name = std::string(architecture) + dtype;
            const std::vector<std::string> changes{"training.steps=50",
                                                   std::string("model.architecture=") + architecture,
                                                   std::string("compute.dtype=") + dtype};
            run(name + "1", changes, 1);
            for (int threads = 2; threads <= 4; ++threads) {
                const std::string other = name + std::to_string(threads);
                run(other, changes, threads);
                EXPECT_EQ(computed_records(directory_ / other), computed_records(directory_ / (name + "1"))) << other;
                EXPECT_TRUE(tensors(directory_ / other, 50) == tensors(directory_ / (name + "1"), 50)) << other;
            }
        }
}

TEST_F(Reproducibility, stopping_after_any_step_and_resuming_changes_nothing) {
    run("whole", {});
    const auto records = computed_records(directory_ / "whole");
    const auto state = tensors(directory_ / "whole", 20);
    ASSERT_GT(losses(directory_ / "whole").front(), losses(directory_ / "whole").back());
    for (int stop = 1; stop < 20; ++stop) {
        const std::string name = "stop" + std::to_string(stop);
        // The evaluation that a stopped run ends with is one more record; it changes nothing else.
        run(name, {"training.stop_after=" + std::to_string(stop), "evaluation.every=0"});
        run(name, {"evaluation.every=0"});
        EXPECT_TRUE(tensors(directory_ / name, 20) == state) << "stopped after step " << stop;
        EXPECT_EQ(losses(directory_ / name), losses(directory_ / "whole")) << "stopped after step " << stop;
    }
    // Stopped where an evaluation is due anyway, the records are the same too.
    run("records", {"training.stop_after=10"});
    run("records", {});
    EXPECT_EQ(computed_records(directory_ / "records"), records);
}

TEST_F(Reproducibility, stopping_after_every_single_step_changes_nothing) {
    run("whole", {"compute.dtype=fp32", "model.architecture=post_pre_gpas"});
    for (int stop = 1; stop <= 20; ++stop)
        run("steps", {"training.stop_after=" + std::to_string(stop), "evaluation.every=0", "checkpoint.keep_last=2",
                      "model.architecture=post_pre_gpas"});
    EXPECT_TRUE(tensors(directory_ / "steps", 20) == tensors(directory_ / "whole", 20));
    EXPECT_EQ(losses(directory_ / "steps"), losses(directory_ / "whole"));
}

TEST_F(Reproducibility, a_changed_run_is_not_resumed) {
    run("run", {"training.stop_after=2"});
    for (const char* change : {"seed=2", "training.global_batch_size=16", "model.architecture=pre", "model.layers=3",
                               "model.rope_base=500000"}) {
        try {
            run("run", {change});
            ADD_FAILURE() << change << " was accepted";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
            const std::string key = std::string(change).substr(0, std::string(change).find('='));
            EXPECT_NE(std::string(error.what()).find("step_00000002.h5: " + key + " was "), std::string::npos)
                << error.what();
        }
    }
}

TEST_F(Reproducibility, another_seed_is_another_run) {
    run("one", {"training.steps=5", "schedule.warmup_steps=2"});
    run("two", {"training.steps=5", "schedule.warmup_steps=2", "seed=99"});
    EXPECT_NE(losses(directory_ / "one"), losses(directory_ / "two"));
}

}  // namespace
}  // namespace gpas
