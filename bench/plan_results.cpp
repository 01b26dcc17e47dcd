// Prints the tables of docs/results/plan.md: measured steps and their predictions, then layouts of 8 to 512 GPUs.
//   build/bench/plan_results configs/
#include "bench/measured_steps.hpp"
#include "engine/plan/layout_search.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

namespace {

using namespace gpas;

void print_measured(const std::string& configs) {
    fmt::print(
        "| measured in | step | ranks x threads | measured, s | predicted, s | predicted / measured | compute | "
        "memory | tensor | data | bubble | fitted to it |\n|{}\n",
        "---|---|---|---|---|---|---|---|---|---|---|---|");
    for (const bench::MeasuredStep& step : bench::measured_steps()) {
        const bench::PredictedStep predicted = bench::predict(step, configs);
        const double total = predicted.time.total();
        fmt::print(
            "| {} | {} | {} x {} | {:.4g} | {:.4g} | {:.2f} | {:.0f} % | {:.0f} % | {:.0f} % | {:.0f} % | {:.0f} % "
            "| {} |\n",
            step.page, step.what, step.ranks, step.threads, step.seconds, total * step.slower, predicted.ratio,
            100 * predicted.time.compute / total, 100 * predicted.time.memory / total,
            100 * predicted.time.tensor / total, 100 * predicted.time.data / total,
            100 * predicted.time.pipeline / total, step.fitted);
    }
}

std::string layout_text(const RunPlan& plan, const RunConfig& config) {
    std::string text = fmt::format("micro-batch {}, data {}", config.training.micro_batch_size, plan.mesh.data);
    if (plan.mesh.tensor > 1)
        text += fmt::format(", tensor {}{}", plan.mesh.tensor, config.parallel.sequence_parallel ? " + sequence" : "");
    if (plan.mesh.pipeline > 1)
        text += fmt::format(", pipeline {} ({}{})", plan.mesh.pipeline,
                            config.parallel.schedule == PipelineSchedule::zb_h1         ? "zb_h1"
                            : config.parallel.schedule == PipelineSchedule::interleaved ? "interleaved"
                                                                                        : "1f1b",
                            "");
    if (config.parallel.recompute != Recompute::none)
        text += config.parallel.recompute == Recompute::full ? ", full recompute" : ", selective recompute";
    return text;
}

void print_layouts(const std::string& file, const std::string& what, const std::vector<std::string>& overrides) {
    const DeviceFigures& device = *figures_named("h200");
    for (int ranks = 8; ranks <= 512; ranks *= 2) {
        const auto load = [&](const std::vector<std::string>& layout) {
            std::vector<std::string> all = overrides;
            all.insert(all.end(), layout.begin(), layout.end());
            return load_config({file}, all);
        };
        const RunConfig config = load({}).values;
        const DeviceSpeed speed = speed_of_gpu(device, config.compute.dtype);
        const LayoutSearch search{
            .ranks = ranks, .device = Device::cuda, .memory_bytes = device.memory_gib * double(1 << 30)};
        const auto choices = search_layouts(config, search, speed, load);
        if (choices.empty()) {
            fmt::print("| {} | {} | no layout | | | | | |\n", what, ranks);
            continue;
        }
        const LayoutChoice& best = choices.front();
        const double seconds = best.time.total(), tokens = best.plan.tokens_per_step / seconds;
        fmt::print("| {} | {} | {} | {:.3g} | {:.3g} | {:.0f} % | {:.0f} / {:.0f} / {:.0f} / {:.0f} / {:.0f} | {} |\n",
                   what, ranks, layout_text(best.plan, load(best.overrides).values), seconds, tokens / ranks,
                   100 * best.plan.flops.megatron * tokens / ranks / (1e12 * device.bf16_tflops),
                   100 * best.time.compute / seconds, 100 * best.time.memory / seconds,
                   100 * best.time.tensor / seconds, 100 * best.time.data / seconds, 100 * best.time.pipeline / seconds,
                   fmt::join(bounds_of(best.time), ", then "));
    }
}

}  // namespace

int main(int argc, char** argv) {
    const std::string configs = argc > 1 ? argv[1] : "configs/";
    print_measured(configs);
    if (argc > 2 && std::string(argv[2]) == "--measured") return 0;
    fmt::print(
        "\n| model and batch | GPUs | fastest layout | s/step | tokens/s per GPU | MFU | compute / memory / tensor / "
        "data / bubble, % | bound |\n|{}\n",
        "---|---|---|---|---|---|---|---|");
    print_layouts(configs + "1b.yaml", "1B, 512 x 256", {});
    print_layouts(configs + "7b.yaml", "7B, 2048 x 256", {});
    const std::vector<std::string> longer{"training.global_batch_size=1024", "training.micro_batch_size=2"};
    auto with = [&](const char* sequence) {
        std::vector<std::string> all = longer;
        all.push_back(std::string("data.sequence_length=") + sequence);
        return all;
    };
    print_layouts(configs + "1b.yaml", "1B, 1024 x 2048", with("2048"));
    print_layouts(configs + "7b.yaml", "7B, 1024 x 4096", with("4096"));
    return 0;
}
