#include "engine/plan/plan.hpp"
#include "base/bytes_text.hpp"
#include "base/error.hpp"
#include "engine/commands/arguments.hpp"
#include "engine/commands/command.hpp"
#include "engine/commands/options.hpp"
#include "engine/plan/device_table.hpp"
#include "engine/plan/gpu_memory.hpp"
#include "engine/plan/layout_search.hpp"
#include "engine/run/host_state.hpp"
#include "engine/run/run_state.hpp"
#include "engine/step/learning_rate.hpp"
#include "io/config/check.hpp"
#include "io/config/enum_names.hpp"

#include <fmt/ranges.h>

#include <cstdio>

namespace gpas {
namespace {

struct PlanArguments {
    std::shared_ptr<ConfigArgument> config;
    std::int64_t ranks = 1;
    std::string gpu;
    double memory_gib = 0.0;
    double tflops = 0.0;
    std::string network = "400";
    bool search = false;
};

constexpr double gibibyte = double(std::int64_t(1) << 30);

template <class... Args>
void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::print("{}\n", fmt::format(format, std::forward<Args>(args)...));
}

DeviceFigures device_of(const PlanArguments& options) {
    DeviceFigures device{.name = "a device of 100 TFLOP/s",
                         .bf16_tflops = 100.0,
                         .fp32_tflops = 20.0,
                         .memory_gbytes = 1000.0,
                         .multiprocessors = 108,
                         .link = LinkKind::nvlink3};
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
    if (options.tflops > 0) {
        device.bf16_tflops = device.fp32_tflops = options.tflops;
        if (options.gpu.empty()) device.name = "a device of --tflops";
    }
    return device;
}

// The device to plan for: a GPU if --gpu or compute.device names one. GPU kernels need other scratch memory than CPU
// kernels, and on a GPU feed-forward columns are padded.
Device planned_device(const PlanArguments& options, const LoadedConfig& config) {
    return !options.gpu.empty() || config.values.compute.device == DeviceKind::cuda ? Device::cuda : Device::cpu;
}

// The hardware that the time is predicted for. On a CPU: ranks on a processor like the one that was measured.
struct Target {
    Device device = Device::cpu;
    DeviceFigures figures;
    DeviceSpeed speed;
    std::string name;
};

Target target_of(const PlanArguments& options, const LoadedConfig& config, int threads) {
    const RunConfig& run = config.values;
    Target target{.device = planned_device(options, config), .figures = device_of(options)};
    const bool processor = options.gpu.empty() && options.tflops == 0 && run.compute.device == DeviceKind::cpu;
    if (processor) {
        target.speed = speed_of_cpu(run.compute.dtype, threads);
        target.name = fmt::format("{} threads per rank of an AMD EPYC as in docs/results/cpu-step.md", threads);
        return target;
    }
    if (options.network != "400" && options.network != "200")
        fail(ExitCode::usage, "--network: found '{}', expected 400 or 200 (Gb/s per GPU)", options.network);
    const LinkKind network = options.network == "400" ? LinkKind::infiniband400 : LinkKind::infiniband200;
    target.speed = speed_of_gpu(target.figures, run.compute.dtype, network);
    target.name = fmt::format("{}, {} inside a node, {}", target.figures.name, figures_of(target.figures.link).name,
                              figures_of(network).name);
    return target;
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

// Prints the upper bound of GPU memory in addition to the arenas.
void print_overhead(const RunConfig& config, const RunPlan& plan, int per_node) {
    const GpuOverhead overhead = gpu_overhead(plan.mesh, per_node, config.model.tied_embeddings);
    line("  in addition     {} of the GPU at most: context {}, kernels {}, cuBLASLt {}{}",
         bytes_text(double(overhead.total_bytes())), bytes_text(double(overhead.context_bytes)),
         bytes_text(double(overhead.kernel_bytes)), bytes_text(double(overhead.cublas_bytes)),
         overhead.communicators > 0 ? fmt::format(", {} NCCL communicators {}", overhead.communicators,
                                                  bytes_text(double(overhead.nccl_bytes)))
                                    : "");
}

void print_memory(const RunConfig& config, const RunPlan& plan, const Target& target) {
    line("");
    line("memory per rank   {:>11}{:>11}{:>11}{:>13}{:>11}{:>11}  in flight", "weights", "gradients", "optimizer",
         "activations", "buffers", "total");
    for (const RankPlan& stage : plan.stages) {
        const ReplicaPlan& m = stage.memory;
        line("  stage {:<9} {:>11}{:>11}{:>11}{:>13}{:>11}{:>11}  {}", stage.place.pipeline,
             bytes_text(double(m.weight_bytes)), bytes_text(double(m.gradient_bytes)),
             bytes_text(double(m.optimizer_bytes)), bytes_text(double(m.activation_bytes)),
             bytes_text(double(m.buffer_bytes + m.recomputed_bytes + m.scratch_bytes)),
             bytes_text(double(m.total_bytes())), fmt::join(stage.in_flight, " + "));
    }
    if (target.device == Device::cuda) print_overhead(config, plan, target.speed.per_node);
    const std::int64_t saved = plan.largest().memory.saved_bytes;
    const std::int64_t copy = checkpoint_copy_bytes(config.checkpoint, saved);
    line("  checkpoints     {}",
         copy > 0 ? fmt::format("{} of host memory in addition, so that training continues during saves",
                                bytes_text(double(copy)))
                  : fmt::format("training waits for saves: a rank's part of {} is more than checkpoint.buffer_gib",
                                bytes_text(double(saved))));
    line("");
    for (const RankPlan& stage : plan.stages)
        line("  stage {:<9} {}; {} parameters per rank", stage.place.pipeline, layers_text(stage.parts),
             stage.parameters);
}

void print_traffic(const RunPlan& plan) {
    line("");
    line("bytes that a rank sends per step");
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
        "FLOPs           per token {:.4g} (causal attention counted half), {:.4g} (in full, with the embedding); per step "
        "{:.4g}, {:.4g}",
        plan.flops.megatron, plan.flops.full, plan.flops.megatron * plan.tokens_per_step,
        plan.flops.full * plan.tokens_per_step);
    line("run             {} steps, {:.4g} tokens", steps, plan.tokens_per_step * double(steps));
    std::string rates;
    for (const std::int64_t k :
         {std::int64_t(1), std::max<std::int64_t>(config.schedule.warmup_steps, 1), steps / 2, steps})
        rates += fmt::format("{}step {}: {:.3g}", rates.empty() ? "" : ", ", std::max<std::int64_t>(k, 1),
                             learning_rate(config.schedule, config.optimizer.learning_rate, steps,
                                           StepNumber{std::max<std::int64_t>(k, 1)}));
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

void print_time(const LoadedConfig& config, const RunPlan& plan, const Target& target) {
    const StepTime time = predict_step(config, plan, target.speed);
    const double seconds = time.total();
    const auto percent = [&](double part) { return 100.0 * part / seconds; };
    line("time            {:.3g} s per step, predicted for {}: {:.3g} tokens/s, {:.3g} h in all", seconds, target.name,
         plan.tokens_per_step / seconds, seconds * double(config.values.training.steps) / 3600.0);
    line(
        "  of a step     compute {:.0f} %, memory bandwidth {:.0f} %, messages of tensor-parallel ranks {:.0f} %, of "
        "data-parallel ranks {:.0f} %, pipeline bubble {:.0f} %",
        percent(time.compute), percent(time.memory), percent(time.tensor), percent(time.data), percent(time.pipeline));
    line("  bound         {}", fmt::join(bounds_of(time), ", then "));
}

void print_search(const PlanArguments& options, const LoadedConfig& config, const Target& target, int threads) {
    const LayoutSearch search{.ranks = options.ranks,
                              .threads = threads,
                              .device = target.device,
                              .memory_bytes = target.figures.memory_gib * gibibyte};
    const auto choices =
        search_layouts(config.values, search, target.speed, [&](const std::vector<std::string>& overrides) {
            ConfigArgument changed = *options.config;
            changed.words.insert(changed.words.end(), overrides.begin(), overrides.end());
            return changed.load();
        });
    if (choices.empty())
        fail(ExitCode::usage, "no layout of {} ranks fits; use more ranks, a smaller model or devices with more memory",
             options.ranks);
    constexpr std::size_t most = 10;
    line("");
    line("{} layouts of {} ranks fit; the fastest by prediction ({}):", choices.size(), options.ranks, target.name);
    line("{:>9} {:>11} {:>9} {:>7} {:>7} {:>7} {:>7}  overrides", "s/step", "memory", "tokens/s", "memory", "tensor",
         "data", "bubble");
    for (std::size_t i = 0; i < std::min(choices.size(), most); ++i) {
        const LayoutChoice& choice = choices[i];
        std::vector<std::string> shown;
        for (const std::string& text : choice.overrides)
            if (!text.ends_with("=auto") && !text.ends_with("=1f1b") && text != "parallel.data=0" &&
                !text.ends_with("=none") && !text.ends_with("=false") && text != "parallel.virtual_chunks=1")
                shown.push_back(text);
        const double seconds = choice.time.total();
        line("{:>9.4g} {:>11} {:>9.3g} {:>6.0f}% {:>6.0f}% {:>6.0f}% {:>6.0f}%  {}", seconds,
             bytes_text(double(device_bytes_of(config.values, choice.plan, target.device, target.speed.per_node))),
             choice.plan.tokens_per_step / seconds, 100 * choice.time.memory / seconds,
             100 * choice.time.tensor / seconds, 100 * choice.time.data / seconds, 100 * choice.time.pipeline / seconds,
             fmt::join(shown, " "));
    }
}

// Prints the plan of the configuration's own layout. With --search that layout may be impossible.
void print_own_layout(const PlanArguments& options, const LoadedConfig& config, const Target& target, int threads) {
    try {
        const RunPlan plan = plan_run(config, options.ranks, threads, target.device);
        print_mesh(config.values, plan);
        print_memory(config.values, plan, target);
        print_traffic(plan);
        print_schedule(config.values, plan);
        print_disk(config.values, plan);
        print_time(config, plan, target);
        std::fflush(stdout);
        if (!options.search && target.figures.memory_gib > 0)
            check_memory(config, device_bytes_of(config.values, plan, target.device, target.speed.per_node),
                         std::int64_t(target.figures.memory_gib * gibibyte));
    } catch (const Error& error) {
        if (!options.search || error.code() != ExitCode::usage) throw;
        line("The layout of the configuration is not possible with {} ranks: {}", options.ranks, error.what());
    }
}

void run(const PlanArguments& options) {
    const LoadedConfig config = options.config->load_with_model(true);
    const int threads = config.values.compute.threads > 0 ? int(config.values.compute.threads) : 1;
    check_for_training(config);
    const Target target = target_of(options, config, threads);
    print_own_layout(options, config, target, threads);
    if (options.search) print_search(options, config, target, threads);
}

}  // namespace

void add_plan(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<PlanArguments>();
    CLI::App* command = app.add_subcommand("plan", "Predict what a run needs before it starts: memory, messages, time");
    options->config = add_config_argument(*command);
    add_integer(*command, "--ranks", options->ranks, {1, 1 << 24}, "ranks of the run");
    command->add_option("--gpu", options->gpu, "a device of the table: a100, h100, h200, …");
    add_real(*command, "--memory-gib", options->memory_gib, {0, 1e9, true}, "memory of a device, in GiB")
        ->default_str("that of --gpu");
    add_real(*command, "--tflops", options->tflops, {0, 1e9, true}, "peak of a device, in TFLOP/s")
        ->default_str("that of --gpu");
    command->add_option("--network", options->network, "network between nodes in Gb/s per GPU: 400 or 200")
        ->default_str("400");
    command->add_flag("--search", options->search, "list the layouts of this many ranks by predicted time");
    command->callback([&chosen, options] { chosen.alone = [options] { run(*options); }; });
}

}  // namespace gpas
