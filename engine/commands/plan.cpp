#include "engine/training/plan.hpp"
#include "engine/commands/arguments.hpp"
#include "engine/commands/command.hpp"
#include "engine/commands/options.hpp"
#include "engine/training/device_table.hpp"
#include "engine/training/host_state.hpp"
#include "engine/training/run_state.hpp"
#include "engine/training/schedule.hpp"
#include "io/config/check.hpp"
#include "io/config/enum_names.hpp"
#include "kernels/bytes_text.hpp"
#include "kernels/error.hpp"

#include <fmt/ranges.h>

#include <cstdio>

namespace gpas {
namespace {

struct Options {
    std::shared_ptr<ConfigArgument> config;
    std::int64_t ranks = 1;
    std::string gpu;
    double memory_gib = 0.0;
    double tflops = 0.0;
    bool search = false;
};

constexpr double gibibyte = double(std::int64_t(1) << 30);
constexpr double reached_share = 0.5;  // of a device's peak, by matrix products of this size

template <class... Args>
void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::print("{}\n", fmt::format(format, std::forward<Args>(args)...));
}

DeviceFigures device_of(const Options& options) {
    DeviceFigures device{.name = "a device", .bf16_tflops = 100.0, .fp32_tflops = 50.0, .link = Link::nvlink3};
    if (!options.gpu.empty()) {
        const DeviceFigures* found = figures_named(options.gpu);
        if (found == nullptr) {
            std::vector<std::string_view> names;
            for (const DeviceFigures& d : device_table()) names.push_back(d.name);
            fail(ExitCode::usage, "--gpu: found '{}', expected one of {}; or write --memory-gib and --tflops",
                 options.gpu, fmt::join(names, ", "));
        }
        device = *found;
    }
    if (options.memory_gib > 0) device.memory_gib = options.memory_gib;
    if (options.tflops > 0) device.bf16_tflops = device.fp32_tflops = options.tflops;
    return device;
}

DeviceSpeed speed_of(const DeviceFigures& device, ComputeDtype dtype) {
    const double peak = dtype == ComputeDtype::bf16 ? device.bf16_tflops : device.fp32_tflops;
    return {.flops = reached_share * peak * 1e12,
            .link_bytes = figures_of(device.link).gbytes * 1e9,
            .network_bytes = figures_of(Link::infiniband400).gbytes * 1e9,
            .per_node = device.per_node};
}

std::string layers_text(const std::vector<ModelPart>& parts) {
    std::string text;
    for (const ModelPart& part : parts)
        text += fmt::format("{}{}layers {}-{}{}", text.empty() ? "" : " and ", part.embedding ? "embedding, " : "",
                            part.layers.begin, part.layers.end - 1, part.head ? ", head" : "");
    return text;
}

void print_mesh(const RunConfig& config, const RunPlan& plan) {
    const ParallelConfig& parallel = config.parallel;
    line("mesh            {} ranks = tensor {}{} x data {}{} x pipeline {}{}", plan.mesh.ranks(), plan.mesh.tensor,
         parallel.sequence_parallel ? " (sequence parallel)" : "", plan.mesh.data,
         plan.mesh.data > 1 && parallel.sharded_optimizer ? " (sharded optimizer)" : "", plan.mesh.pipeline,
         plan.mesh.pipeline > 1 ? fmt::format(" ({})", name_of(parallel.schedule)) : "");
    line("model           {}, {} parameters, {}", name_of(config.model.architecture), plan.parameters,
         name_of(config.compute.dtype));
    line("step            {} samples x {} tokens = {} x {} micro-batches of {}", config.training.global_batch_size,
         config.data.sequence_length, plan.mesh.data, plan.pipeline.micro_batches, config.training.micro_batch_size);
}

void print_memory(const RunConfig& config, const RunPlan& plan) {
    line("");
    line("memory of a rank  {:>11}{:>11}{:>11}{:>13}{:>11}{:>11}  in flight", "weights", "gradients", "optimizer",
         "activations", "buffers", "total");
    for (const RankPlan& stage : plan.stages) {
        const ReplicaPlan& m = stage.memory;
        line("  stage {:<9} {:>11}{:>11}{:>11}{:>13}{:>11}{:>11}  {}", stage.place.pipeline,
             bytes_text(double(m.weight_bytes)), bytes_text(double(m.gradient_bytes)),
             bytes_text(double(m.optimizer_bytes)), bytes_text(double(m.activation_bytes)),
             bytes_text(double(m.buffer_bytes + m.recomputed_bytes + m.scratch_bytes)),
             bytes_text(double(m.total_bytes())), fmt::join(stage.in_flight, " + "));
    }
    const std::int64_t saved = plan.largest().memory.saved_bytes;
    const std::int64_t copy = checkpoint_copy_bytes(config.checkpoint, saved);
    line("  checkpoints     {}",
         copy > 0 ? fmt::format("{} of host memory beside that, so that training goes on during saves",
                                bytes_text(double(copy)))
                  : fmt::format("training waits for saves: a rank's part of {} is more than checkpoint.buffer_gib",
                                bytes_text(double(saved))));
    line("");
    for (const RankPlan& stage : plan.stages)
        line("  stage {:<9} {}; {} parameters a rank", stage.place.pipeline, layers_text(stage.parts),
             stage.parameters);
}

void print_traffic(const RunPlan& plan) {
    line("");
    line("bytes a rank hands over in a step");
    for (const RankPlan& stage : plan.stages) {
        const StepTraffic& t = stage.traffic;
        std::string text;
        const auto add = [&](const char* name, double bytes) {
            if (bytes > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, bytes_text(bytes));
        };
        add("tensor all-reduce", t.tensor_all_reduce);
        add("tensor all-gather", t.tensor_all_gather);
        add("tensor reduce-scatter", t.tensor_reduce_scatter);
        add("pipeline", t.pipeline_send);
        add("gradients", t.gradient_reduce);
        add("weights", t.weight_gather);
        line("  stage {:<9} {}", stage.place.pipeline, text.empty() ? "none" : text);
    }
}

void print_schedule(const RunConfig& config, const RunPlan& plan) {
    const std::int64_t steps = config.training.steps;
    line("");
    line("bubble          {:.1f} % of a step's forward and backward", 100.0 * plan.bubble_share);
    line(
        "FLOPs           a token {:.4g} (causal attention counted half), {:.4g} (in full, with the embedding); a step "
        "{:.4g}, {:.4g}",
        plan.flops.megatron, plan.flops.full, plan.flops.megatron * plan.tokens_per_step,
        plan.flops.full * plan.tokens_per_step);
    line("run             {} steps, {:.4g} tokens", steps, plan.tokens_per_step * double(steps));
    std::string rates;
    for (const std::int64_t k :
         {std::int64_t(1), std::max<std::int64_t>(config.schedule.warmup_steps, 1), steps / 2, steps})
        rates += fmt::format(
            "{}step {}: {:.3g}", rates.empty() ? "" : ", ", std::max<std::int64_t>(k, 1),
            learning_rate(config.schedule, config.optimizer.learning_rate, steps, std::max<std::int64_t>(k, 1)));
    line("learning rate   {}", rates);
}

void print_disk(const RunConfig& config, const RunPlan& plan) {
    const std::int64_t kept =
        std::max<std::int64_t>(config.checkpoint.keep_last, 1) + 2;  // one is written, one was resumed from
    std::filesystem::path folder = std::filesystem::absolute(config.directory);
    while (!folder.empty() && !std::filesystem::exists(folder) && folder != folder.parent_path())
        folder = folder.parent_path();
    std::error_code error;
    const std::filesystem::space_info space = std::filesystem::space(folder, error);
    const double needed = double(kept) * double(plan.checkpoint_bytes);
    line("checkpoints     {} each; {} of them {}{}", bytes_text(double(plan.checkpoint_bytes)), kept,
         bytes_text(needed),
         error ? ""
               : fmt::format(", free in {}: {}{}", folder.string(), bytes_text(double(space.available)),
                             double(space.available) < needed ? " — NOT ENOUGH" : ""));
}

void print_time(const LoadedConfig& config, const RunPlan& plan, const DeviceFigures& device) {
    const double seconds = predicted_step_seconds(config, plan, speed_of(device, config.values.compute.dtype));
    line(
        "time            {:.3g} s a step on {} if its products reach {:.0f} % of the peak: {:.3g} tokens/s, {:.3g} h "
        "in all",
        seconds, device.name, 100.0 * reached_share, plan.tokens_per_step / seconds,
        seconds * double(config.values.training.steps) / 3600.0);
}

// A GPU where one is named: its kernels take other temporaries, and feed-forward columns are padded.
Device planned_device(const Options& options, const LoadedConfig& config) {
    return !options.gpu.empty() || config.values.compute.device == DeviceKind::cuda ? Device::cuda : Device::cpu;
}

void print_search(const Options& options, const LoadedConfig& config, const DeviceFigures& device, int threads) {
    const auto choices = search_layouts(
        config.values, options.ranks, threads, planned_device(options, config), device.memory_gib * gibibyte,
        speed_of(device, config.values.compute.dtype), [&](const std::vector<std::string>& overrides) {
            ConfigArgument changed = *options.config;
            changed.words.insert(changed.words.end(), overrides.begin(), overrides.end());
            return changed.load();
        });
    if (choices.empty())
        fail(ExitCode::usage, "no layout of {} ranks fits; use more ranks, a smaller model or devices with more memory",
             options.ranks);
    constexpr std::size_t most = 10;
    line("");
    line("{} layouts of {} ranks fit; the fastest by prediction ({} at {:.0f} % of its peak):", choices.size(),
         options.ranks, device.name, 100.0 * reached_share);
    line("{:>9} {:>11} {:>8}  overrides", "s/step", "memory", "bubble");
    for (std::size_t i = 0; i < std::min(choices.size(), most); ++i) {
        std::vector<std::string> shown;
        for (const std::string& text : choices[i].overrides)
            if (!text.ends_with("=auto") && !text.ends_with("=1f1b") && text != "parallel.data=0" &&
                !text.ends_with("=none") && !text.ends_with("=false") && text != "parallel.virtual_chunks=1")
                shown.push_back(text);
        line("{:>9.4g} {:>11} {:>7.1f}%  {}", choices[i].seconds,
             bytes_text(double(choices[i].plan.largest().memory.total_bytes())), 100.0 * choices[i].plan.bubble_share,
             fmt::join(shown, " "));
    }
}

void run(const Options& options) {
    const LoadedConfig config = options.config->load();
    const DeviceFigures device = device_of(options);
    const int threads = config.values.compute.threads > 0 ? int(config.values.compute.threads) : 1;
    check_for_training(config);
    const RunPlan plan = plan_run(config, options.ranks, threads, planned_device(options, config));
    print_mesh(config.values, plan);
    print_memory(config.values, plan);
    print_traffic(plan);
    print_schedule(config.values, plan);
    print_disk(config.values, plan);
    print_time(config, plan, device);
    std::fflush(stdout);
    if (options.search) return print_search(options, config, device, threads);
    if (device.memory_gib > 0)
        check_memory(config, plan.largest().memory.total_bytes(), std::int64_t(device.memory_gib * gibibyte));
}

}  // namespace

void add_plan(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command =
        app.add_subcommand("plan", "What a run needs and takes, before it is one: memory, messages, time");
    options->config = add_config_argument(*command);
    add_integer(*command, "--ranks", options->ranks, {1, 1 << 24}, "ranks of the run");
    command->add_option("--gpu", options->gpu, "a device of the table: a100, h100, h200, …");
    add_real(*command, "--memory-gib", options->memory_gib, {0, 1e9, true}, "memory of a device, in GiB")
        ->default_str("that of --gpu");
    add_real(*command, "--tflops", options->tflops, {0, 1e9, true}, "peak of a device, in TFLOP/s")
        ->default_str("that of --gpu");
    command->add_flag("--search", options->search, "rank the layouts of so many ranks by predicted time");
    command->callback([&chosen, options] { chosen.alone = [options] { run(*options); }; });
}

}  // namespace gpas
