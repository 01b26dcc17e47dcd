// Times a training step of a configuration on synthetic tokens, without data files; compare_step.py and scaling.py use
// it. Runs alone or with mpirun; rank 0 prints one JSON object. The same run also measures the rate of oneDNN alone on
// the matrix products of the model.
#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "bench/onednn_rate.hpp"
#include "engine/run/algorithms.hpp"
#include "engine/run/device.hpp"
#include "engine/step/step.hpp"
#include "io/config/check.hpp"
#include "io/config/load.hpp"
#include "io/data/indexed_writer.hpp"
#include "io/metrics/live_file.hpp"
#include "kernels/cuda/gpu.hpp"
#include "parallel/mpi/mpi_session.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace gpas;

std::int64_t peak_resident_bytes() {
    std::ifstream status("/proc/self/status");
    std::string word;
    while (status >> word)
        if (word == "VmHWM:") {
            std::int64_t kibibytes = 0;
            status >> kibibytes;
            return kibibytes * 1024;
        }
    return 0;
}

// A token file with uniformly distributed ids, in a directory that the destructor deletes.
class MadeUpTokens {
public:
    MadeUpTokens(std::int64_t tokens, std::int64_t vocabulary) {
        std::string pattern = (std::filesystem::temp_directory_path() / "gpas-bench-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) fail(ExitCode::environment, "cannot make a temporary directory");
        directory_ = pattern;
        std::mt19937 generator(1);
        std::uniform_int_distribution<std::int32_t> id(0, std::int32_t(vocabulary) - 1);
        std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens));
        for (std::int32_t& token : ids) token = id(generator);
        IndexedDatasetWriter writer(prefix(), TokenDtype::uint16);
        writer.append(ids);
        writer.end_document();
        writer.finish();
    }
    ~MadeUpTokens() {
        std::error_code ignored;
        std::filesystem::remove_all(directory_, ignored);
    }
    MadeUpTokens(const MadeUpTokens&) = delete;
    MadeUpTokens& operator=(const MadeUpTokens&) = delete;
    std::string prefix() const { return (directory_ / "tokens").string(); }

private:
    std::filesystem::path directory_;
};

struct Options {
    int watch_blocks = 0;
    std::vector<std::string> config;
    int steps = 5;
    int warmup = 2;
    int threads = 2;
    bool onednn = true;
};

// Total seconds that this rank has waited in each group.
struct Waited {
    double tensor = 0.0;
    double pipeline = 0.0;
    double data = 0.0;  // including calls of all ranks
};
Waited waited_in(const Mesh& mesh) {
    return {.tensor = mesh.tensor->waited_seconds(),
            .pipeline = mesh.pipeline_forward->waited_seconds() + mesh.pipeline_backward->waited_seconds() +
                        mesh.embedding->waited_seconds(),
            .data = mesh.data->waited_seconds() + mesh.world->waited_seconds()};
}

// The value of every rank, on every rank. Collective.
std::vector<double> of_all_ranks(Communicator& world, double mine) {
    std::vector<double> all(std::size_t(world.size()), 0.0);
    all[std::size_t(world.rank())] = mine;
    world.all_reduce(all.data(), world.size(), ReduceOp::sum, "a figure of each rank");
    return all;
}

// CPU time of all threads of this process except the first, which trains.
double other_threads_seconds() {
    double nanoseconds = 0.0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        if (task.path().filename() == std::to_string(getpid())) continue;
        std::ifstream file(task.path() / "schedstat");
        double on_processor = 0.0;
        file >> on_processor;
        nanoseconds += on_processor;
    }
    return 1e-9 * nanoseconds;
}

// Nanoseconds that the communication log takes per blocking call.
double log_nanoseconds(RankShared& rank) {
    constexpr int calls = 200000;
    const std::string group = "data", data = "fp32[16777216]";
    const Stopwatch watch;
    for (int i = 0; i < calls; ++i) {
        rank.progress.enter(Phase::forward, i, 1);
        const std::int64_t call = rank.calls.begin(group, "all_reduce", "gradients", data);
        rank.progress.wait(call);
        rank.calls.end(call);
        rank.progress.waited();
    }
    return 1e9 * watch.seconds() / calls;
}

// Times blocks of steps with and without watchers and live.json, alternately in one process. Prints one JSON object.
void compare_watching(const Options& options, const MpiSession& mpi, const RunConfig& config, TrainingStep& step,
                      Communicator& world, const std::filesystem::path& directory) {
    std::int64_t nodes = mpi.local_rank() == 0;
    world.all_reduce(&nodes, 1, ReduceOp::sum, "nodes");
    mpi.watcher().connect(world, int(nodes));
    std::vector<double> seconds[2];
    double busy[2] = {0.0, 0.0}, elapsed[2] = {0.0, 0.0};  // seconds: CPU time of other threads; elapsed time of blocks
    std::int64_t number = 0;
    std::int64_t calls = 0;
    for (int block = 0; block < 2 * options.watch_blocks + 2; ++block) {
        // The order is on, off, off, on, …, so that a drift of the machine affects both equally.
        const bool on = (block % 2 == 0) == (block / 2 % 2 == 0);
        mpi.watcher().rest(!on);
        std::unique_ptr<LiveFile> live;
        if (on && mpi.rank() == 0)
            live = std::make_unique<LiveFile>(
                directory, LiveRun{.name = "bench", .steps_total = 1}, [&] { return mpi.watcher().ranks(); }, [] {},
                [](const std::string&) {});
        const double busy_before = other_threads_seconds();
        const Stopwatch whole;
        for (int i = 0; i < options.steps; ++i, ++number) {
            world.barrier("the next step");
            const std::int64_t calls_before = world.board().call_count;
            const Stopwatch watch;
            step.run({.step = StepNumber::after(number),
                      .update = UpdateNumber::after(number),
                      .first_sample = number * config.training.global_batch_size});
            calls = world.board().call_count - calls_before;
            if (block >= 2) seconds[on].push_back(watch.seconds());
        }
        busy[on] += other_threads_seconds() - busy_before;
        elapsed[on] += whole.seconds();
    }
    if (mpi.rank() != 0) return;
    fmt::print(
        "{{\"ranks\":{},\"on\":[{:.6f}],\"off\":[{:.6f}],\"other_threads\":[{:.7f},{:.7f}],\"calls_per_step\":{},\"log_"
        "nanoseconds_per_call\":{:.1f}}}\n",
        world.size(), fmt::join(seconds[1], ","), fmt::join(seconds[0], ","), busy[1] / elapsed[1],
        busy[0] / elapsed[0], calls, log_nanoseconds(world.shared()));
}

void run(const Options& options, const MpiSession& mpi) {
    const ConfigArguments arguments = split_config_arguments(options.config);
    LoadedConfig loaded = load_config(arguments.files, arguments.overrides);
    RunConfig& config = loaded.values;
    const std::int64_t tokens_per_step = config.training.global_batch_size * config.data.sequence_length;
    const MadeUpTokens tokens(8 * tokens_per_step, config.model.vocab_size);
    config.data.train = {{.path = tokens.prefix()}};
    config.data.valid_fraction = 0.0;
    const RunData data = open_data(config.data, {.seed = config.seed, .vocab_size = config.model.vocab_size});
    const Dtype dtype = storage_dtype(config.compute.dtype);
    auto world = mpi.world();
    const MeshSize size = check_for_world(loaded, world->size());
    const ChosenDevice device = choose_device(config.compute, mpi, *world);
    Mesh mesh = make_mesh(std::move(world), size, config.parallel.order);
    const ReplicaShape shape = replica_shape(config, mesh.size, mesh.place, options.threads, true, device.device);
    const std::unique_ptr<Context> context = make_context(shape);
    choose_algorithms(*mesh.world, shape, *context, {});  // the choice is not stored
    serve_device(mesh, *context, config.parallel.share_gpu, shape.compute.tensor_overlap);
    Replica replica(shape, *context, *mesh.tensor, *mesh.data);
    initialise(replica.context, replica.store, config.seed, *mesh.data);
    TrainingStep step(config, replica, data.train, mesh);
    if (options.watch_blocks > 0)
        return compare_watching(options, mpi, config, step, *mesh.world,
                                std::filesystem::path(tokens.prefix()).parent_path());

    std::vector<double> seconds;
    PhaseSeconds phases;
    double loss = 0.0;
    Waited before;
    for (int i = 0; i < options.warmup + options.steps; ++i) {
        mesh.world->barrier("the next step");
        if (i == options.warmup) before = waited_in(mesh);
        const Stopwatch watch;
        const StepResult result = step.run({.step = StepNumber::after(i),
                                            .update = UpdateNumber::after(i),
                                            .first_sample = i * config.training.global_batch_size});
        loss = result.loss;
        if (i < options.warmup) continue;
        seconds.push_back(watch.seconds());
        phases = result.seconds;
    }
    const Waited after = waited_in(mesh);
    const auto of_all = [&](double value) { return of_all_ranks(*mesh.world, value); };
    const std::vector<double> peak = of_all(double(peak_resident_bytes()));
    const std::vector<double> arena = of_all(double(replica.plan().total_bytes()));
    const std::vector<double> tensor = of_all(after.tensor - before.tensor);
    const std::vector<double> pipeline = of_all(after.pipeline - before.pipeline);
    const std::vector<double> data_wait = of_all(after.data - before.data);
    if (mpi.rank() != 0) return;
    const bench::ProductRate products =
        options.onednn
            ? bench::onednn_rate(config.model, config.training.micro_batch_size * config.data.sequence_length, dtype,
                                 options.threads)
            : bench::ProductRate{};
    fmt::print(
        "{{\"dtype\":\"{}\",\"ranks\":{},\"threads\":{},\"seconds\":[{:.5f}],\"tokens_per_step\":{},"
        "\"peak_rss_bytes\":{:.0f},\"arena_bytes\":{:.0f},\"gemm_flops_per_step\":{:.6g},"
        "\"gemm_gflops_onednn\":{:.2f},\"loss\":{:.6f},"
        "\"phases\":{{\"data\":{:.4f},\"compute\":{:.4f},\"optimizer\":{:.4f}}},"
        "\"ranks_peak_rss_bytes\":[{:.0f}],\"ranks_arena_bytes\":[{:.0f}],\"ranks_waited\":{{\"tensor\":[{:.4f}],"
        "\"pipeline\":[{:.4f}],\"data\":[{:.4f}]}}}}\n",
        dtype_name(dtype), mesh.world->size(), options.threads, fmt::join(seconds, ","), tokens_per_step, peak[0],
        arena[0], products.operations * double(config.training.global_batch_size / config.training.micro_batch_size),
        products.gflops, loss, phases.data, phases.compute, phases.optimizer, fmt::join(peak, ","),
        fmt::join(arena, ","), fmt::join(tensor, ","), fmt::join(pipeline, ","), fmt::join(data_wait, ","));
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("bench_step: seconds of a training step on made-up tokens");
    Options options;
    app.add_option("CONFIG", options.config, "as for gpas train")->required();
    app.add_option("--steps", options.steps, "timed steps");
    app.add_option("--warmup", options.warmup, "steps before");
    app.add_option("--threads", options.threads, "of this process");
    app.add_option("--watch-blocks", options.watch_blocks,
                   "compare so many blocks of --steps steps with watchers to as many without");
    app.add_flag("!--no-onednn", options.onednn, "leave out oneDNN's own rate");
    CLI11_PARSE(app, argc, argv);
    cuda::prepare_environment();  // before MPI, which may call CUDA
    const MpiSession mpi(&argc, &argv);
    try {
        run(options, mpi);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench_step: {}\n", error.what());
        mpi.abort(1);
    }
    return 0;
}
