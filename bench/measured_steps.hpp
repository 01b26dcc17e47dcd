// Every training step whose time docs/results records, and the constants of the prediction that were fitted to it.
#pragma once

#include "engine/plan/step_time.hpp"
#include "io/config/load.hpp"

#include <string>
#include <vector>

namespace gpas::bench {

enum class MeasuredOn { cpu, h200, h200_at_382c6e8 };

struct MeasuredStep {
    const char* page;  // file name in docs/results
    const char* what;
    MeasuredOn device = MeasuredOn::cpu;
    int ranks = 1;
    int threads = 1;                  // per rank
    std::vector<std::string> config;  // a file in configs/, then overrides
    double seconds = 0.0;
    const char* fitted = "";  // the constant of device_speed.cpp or device_table.cpp; empty: no constant
    // Factor by which the machine was slower than in cpu-step.md; fitted if `fitted` says so.
    double slower = 1.0;
};

constexpr double watching_slower = 8.0;

inline std::vector<MeasuredStep> measured_steps() {
    const auto cpu_step = [](const char* dtype, const char* recompute) {
        return std::vector<std::string>{"71m.yaml",
                                        "training.global_batch_size=8",
                                        "training.micro_batch_size=8",
                                        "data.sequence_length=256",
                                        std::string("compute.dtype=") + dtype,
                                        std::string("parallel.recompute=") + recompute};
    };
    const auto scaling = [](std::vector<std::string> layout) {
        std::vector<std::string> all{"71m.yaml", "training.global_batch_size=32", "training.micro_batch_size=4",
                                     "data.sequence_length=256", "compute.dtype=fp32"};
        all.insert(all.end(), layout.begin(), layout.end());
        return all;
    };
    const auto billion = [](std::vector<std::string> more) {
        std::vector<std::string> all{"1b.yaml", "training.global_batch_size=8", "training.micro_batch_size=8",
                                     "data.sequence_length=2048", "compute.dtype=bf16"};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    };
    // Measured while other programs used the machine, which then gave a fraction of the rates above. The page does not
    // record the fraction.
    const std::vector<std::string> quick{"quickstart.yaml", "training.micro_batch_size=1",
                                         "training.global_batch_size=2"};
    using enum MeasuredOn;
    return {
        {"cpu-step.md", "71M, fp32", cpu, 1, 2, cpu_step("fp32", "none"), 2048 / 1172.0, "cpu_bytes"},
        {"cpu-step.md", "71M, fp32, selective recompute", cpu, 1, 2, cpu_step("fp32", "selective"), 2048 / 1023.0},
        {"cpu-step.md", "71M, bf16", cpu, 1, 2, cpu_step("bf16", "none"), 2048 / 1969.0, "cpu_bytes"},
        {"cpu-step.md", "71M, bf16, selective recompute", cpu, 1, 2, cpu_step("bf16", "selective"), 2048 / 1770.0},
        {"cpu-scaling.md", "71M, one rank, two threads", cpu, 1, 2, scaling({}), 7.21},
        {"cpu-scaling.md", "71M, data 2", cpu, 2, 1, scaling({}), 7.62, "host link"},
        {"cpu-scaling.md", "71M, tensor 2", cpu, 2, 1, scaling({"parallel.tensor=2"}), 7.14},
        {"cpu-scaling.md", "71M, tensor 2, sequence parallel", cpu, 2, 1,
         scaling({"parallel.tensor=2", "parallel.sequence_parallel=true"}), 7.06},
        {"cpu-scaling.md", "71M, pipeline 2, 1f1b", cpu, 2, 1, scaling({"parallel.pipeline=2"}), 7.88},
        {"cpu-scaling.md", "71M, pipeline 2, zb_h1", cpu, 2, 1,
         scaling({"parallel.pipeline=2", "parallel.schedule=zb_h1"}), 7.71},
        {"gpu.md", "1B, 382c6e8", h200_at_382c6e8, 1, 1, billion({}), 16384 / 49200.0},
        {"gpu.md", "1B, 382c6e8, selective recompute", h200_at_382c6e8, 1, 1, billion({"parallel.recompute=selective"}),
         16384 / 41307.0},
        {"gpu.md", "1B, 382c6e8, `pre`", h200_at_382c6e8, 1, 1, billion({"model.architecture=pre"}), 16384 / 49217.0},
        {"gpu.md", "1B, c27b44e", h200, 1, 1, billion({}), 16384 / 56441.0, "gpu_sustained"},
        {"watching.md", "quick start, without watchers", cpu, 1, 1, quick, 0.7519, "slower", watching_slower},
        {"watching.md", "quick start, with watchers", cpu, 1, 1, quick, 0.7349, "", watching_slower},
        {"watching.md", "quick start, data 2, without watchers", cpu, 2, 1, quick, 0.5650, "", watching_slower},
        {"watching.md", "quick start, data 2, with watchers", cpu, 2, 1, quick, 0.5679, "", watching_slower},
    };
}

struct PredictedStep {
    StepTime time;
    double ratio = 0.0;  // predicted / measured
};

// configs: path of the folder configs/, with a slash at its end.
inline PredictedStep predict(const MeasuredStep& step, const std::string& configs) {
    const std::vector<std::string> overrides(step.config.begin() + 1, step.config.end());
    const LoadedConfig config = load_config({configs + step.config.front()}, overrides);
    const bool cpu = step.device == MeasuredOn::cpu;
    const DeviceSpeed speed = cpu ? speed_of_cpu(config.values.compute.dtype, step.threads)
                              : step.device == MeasuredOn::h200
                                  ? speed_of_gpu(*figures_named("h200"), ComputeDtype::bf16)
                                  : speed_of_h200_at_382c6e8();
    const RunPlan plan = plan_run(config, step.ranks, step.threads, cpu ? Device::cpu : Device::cuda);
    PredictedStep predicted{.time = predict_step(config, plan, speed)};
    predicted.ratio = predicted.time.total() * step.slower / step.seconds;
    return predicted;
}

}  // namespace gpas::bench
