#include "engine/preflight/preflight.hpp"

#include "base/bytes_text.hpp"
#include "base/error.hpp"
#include "base/host_name.hpp"
#include "engine/plan/gpu_memory.hpp"
#include "engine/plan/plan.hpp"
#include "engine/preflight/clocks.hpp"
#include "engine/preflight/files.hpp"
#include "engine/preflight/gather.hpp"
#include "engine/preflight/judge.hpp"
#include "engine/preflight/machine.hpp"
#include "engine/preflight/report.hpp"
#include "engine/preflight/speed.hpp"
#include "engine/run/host_state.hpp"
#include "engine/run/run_state.hpp"
#include "engine/run/threads.hpp"
#include "io/config/check.hpp"
#include "io/config/describe.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/ops.hpp"
#include "parallel/agree.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

namespace gpas::preflight {
namespace {

constexpr std::int64_t mebibyte = std::int64_t(1) << 20;
constexpr std::int64_t link_bytes = 8 * mebibyte;
constexpr std::int64_t reduced_bytes = 16 * mebibyte;
constexpr double product_seconds = 1.0;
constexpr double token_seconds = 10.0;
// Bytes of /dev/shm per rank that MPI and NCCL allocate later, for large messages.
constexpr double shared_bytes = 16.0 * mebibyte;
constexpr double shared_bytes_gpu = 64.0 * mebibyte;

class Preflight {
public:
    Preflight(const LoadedConfig& config, Communicator& world, const MpiSession& mpi, const Options& options)
        : loaded_(config), world_(world), mpi_(mpi), options_(options) {}

    // Runs all checks. An error that ends the checks early does not hide earlier findings: the report is printed first.
    void run() {
        try {
            check();
        } catch (const Error&) {
            print();
            throw;
        }
        print();
        conclude();
    }

private:
    void check() {
        hosts_ = gather(world_, host_name(), "host names");
        report_.add("ranks",
                    fmt::format("{} on {} node(s): {}", world_.size(), vote(hosts_).size(), ranks_text(all(), hosts_)));
        check_program();
        check_config();
        threads_ = compute_threads(config().compute.threads, mpi_);
        check_processors();
        check_clocks();
        check_data();
        check_directory();
        check_space();
        choose_and_check_device();
        check_memory();
        check_links();
        if (!options_.quick) check_speed();
    }

    const RunConfig& config() const { return loaded_.values; }

    std::vector<int> all() const {
        std::vector<int> ranks(hosts_.size());
        for (std::size_t i = 0; i < ranks.size(); ++i) ranks[i] = int(i);
        return ranks;
    }

    void check_program() {
        const auto facts =
            gather(world_, std::vector<std::string>{"gpas " GPAS_VERSION ", xxHash " + program_hash(), mpi_version()},
                   "programs");
        report_.add(
            "program", facts[0][0],
            judge_equal({.what = "the program", .advice = "start the same file on every node"}, facts[0], hosts_));
        report_.add(
            "MPI", facts[1][0],
            judge_equal({.what = "the MPI library", .advice = "load the same module on every node"}, facts[1], hosts_));
    }

    // Compares configurations; findings name the keys that differ. All later checks use the majority's configuration,
    // so that one start finds all problems.
    void check_config() {
        const std::string mine = dump_config(config());
        const std::vector<Group> groups =
            vote(gather(world_, fmt::format("{:016x}", std::hash<std::string>()(mine)), "configurations"));
        Findings findings;
        std::string theirs = mine;
        broadcast(world_, theirs, groups[0].ranks[0], "the configuration of most ranks");
        for (std::size_t i = 1; i < groups.size(); ++i) {
            std::string other = mine;
            broadcast(world_, other, groups[i].ranks[0], "a configuration that differs");
            const bool tie = groups[i].ranks.size() == groups[0].ranks.size();
            findings.push_back(
                {Severity::problem,
                 fmt::format("{}: configuration: {}; compared with {}{}; start every rank with the same "
                             "files and overrides",
                             ranks_text(groups[i].ranks, hosts_), config_differences(other, theirs),
                             ranks_text(groups[0].ranks, hosts_),
                             tie ? " (an equal number of ranks, so no configuration has a majority)" : "")});
        }
        if (theirs != mine || groups.size() > 1)
            loaded_ =
                agree(world_, [&] { return theirs == mine ? loaded_ : load_config_text(theirs, "the majority"); });
        report_.add("configuration", fmt::format("{}, hash {:016x}", config().name, std::hash<std::string>()(theirs)),
                    findings);
        mesh_size_ = agree(world_, [&] {
            check_for_training(loaded_);
            return check_for_world(loaded_, world_.size());
        });
    }

    void check_processors() {
        const bool may_use_gpus = config().compute.device != DeviceKind::cpu;
        const auto facts =
            gather(world_,
                   std::vector<std::string>{cpu_model(), vector_instructions(), fmt::format("{}", threads_),
                                            fmt::format("{}", may_use_gpus ? cuda::device_count() : 0)},
                   "processors");
        Findings findings;
        const auto judge = [&](Severity severity, const char* what, std::size_t fact, const char* advice) {
            for (Finding& found : judge_equal({severity, what, advice}, facts[fact], hosts_))
                findings.push_back(std::move(found));
        };
        judge(Severity::slow, "the processor model", 0, "every step waits for the slowest rank; use nodes of one kind");
        judge(Severity::problem, "the processor's instructions", 1,
              "the ranks' results would differ in their last bits; use nodes of one kind");
        judge(Severity::slow, "the number of threads", 2,
              "set compute.threads, or bind every rank to the same number of cores");
        judge(Severity::problem, "the number of GPUs", 3,
              "if one rank has no GPU, all ranks train on CPUs; check nvidia-smi and CUDA_VISIBLE_DEVICES");
        report_.add("processor", fmt::format("{}, {}, {} thread(s) per rank", facts[0][0], facts[1][0], facts[2][0]),
                    findings);
    }

    void check_clocks() {
        if (world_.size() == 1) return;
        const Clocks clocks = measure_clocks(world_);
        const auto [least, most] = std::minmax_element(clocks.offsets.begin(), clocks.offsets.end());
        report_.add("clocks",
                    fmt::format("within {:.6f} s of each other (+-{:.6f})", *most - *least,
                                *std::max_element(clocks.bounds.begin(), clocks.bounds.end())),
                    judge_clocks(clocks.offsets, clocks.bounds, hosts_));
    }

    void check_data() {
        std::vector<std::string> paths, states;
        for (const FileFact& file : data_files(config())) {
            paths.push_back(file.path);
            states.push_back(file.state);
        }
        const auto files = gather(world_, states, "sizes of data files");
        Findings findings;
        const auto add = [&](const std::string& path, const std::vector<std::string>& found) {
            for (Finding& finding : judge_file(path, found, hosts_)) findings.push_back(std::move(finding));
        };
        for (std::size_t i = 0; i < paths.size(); ++i) add(paths[i], files[i]);
        const std::vector<std::string> opened = gather(world_, data_state(config(), threads_), "what data files hold");
        if (findings.empty()) add("the data", opened);
        report_.add("data", fmt::format("{} files, {}", paths.size(), opened[0]), findings);
    }

    void check_directory() {
        const DirectoryFacts facts = try_directory(world_, config().directory, token_seconds);
        Findings findings;
        for (const Group& group : vote(facts.shared))
            if (!group.value.empty())
                findings.push_back(
                    {Severity::problem,
                     fmt::format(
                         "{}: {} is not the same directory as on rank 0 ({}): a file that rank 0 wrote there did not "
                         "appear within {} s ({}); use a directory on a file system that all nodes share",
                         ranks_text(group.ranks, hosts_), config().directory, hosts_[0], token_seconds, group.value)});
        for (std::size_t rank = 0; rank < facts.written.size(); ++rank)
            if (!facts.written[rank].empty())
                findings.push_back(
                    {Severity::problem,
                     fmt::format("{}: cannot use the run's directory: {}; check `directory`, permissions "
                                 "and mounts",
                                 ranks_text({int(rank)}, hosts_), facts.written[rank])});
        report_.add("directory",
                    fmt::format("{}: {}", config().directory,
                                findings.empty() ? fmt::format("every rank reads and writes it, sync in {}",
                                                               seconds_text(facts.sync_seconds))
                                                 : "cannot be used by every rank"),
                    findings);
    }

    void check_space() {
        const CheckpointConfig& rule = config().checkpoint;
        const double each = 3.0 * double(parameter_count(config().model)) * double(sizeof(float));
        const double count =
            double(most_checkpoints({config().training.steps, rule.every, rule.keep_last, rule.keep_every}));
        double there = checkpoint_bytes_there(checkpoint_directory(config()));
        double free = agree(world_, [&] { return double(free_bytes(existing(config().directory))); });
        world_.broadcast(&there, sizeof there, 0, "bytes of checkpoints");
        world_.broadcast(&free, sizeof free, 0, "free space");
        report_.add("disk", fmt::format("{} checkpoint(s) of {}, free {}", count, bytes_text(each), bytes_text(free)),
                    judge_space(config().directory, count * each, std::min(there, count * each), free));
    }

    static std::filesystem::path existing(const std::filesystem::path& path) {
        std::filesystem::path folder = std::filesystem::absolute(path);
        while (!std::filesystem::exists(folder) && folder != folder.parent_path()) folder = folder.parent_path();
        return folder;
    }

    void choose_and_check_device() {
        const ChosenDevice chosen = choose_device(config().compute, mpi_, world_);
        device_ = chosen.device;
        const MeshPlace place = place_of(world_.rank(), mesh_size_, config().parallel.order);
        agree(world_, [&] {
            const ReplicaShape shape = replica_shape(config(), mesh_size_, place, threads_, true, device_);
            check_device(config().model, shape.compute, device_);
            plan_ = plan_replica(shape);
            if (device_ == Device::cuda)
                check_free_gpu_memory(loaded_, mesh_size_, plan_.total_bytes(), gpu_room(chosen));
        });
        if (device_ == Device::cpu) return;
        const auto facts = gather(world_, std::vector<std::string>{cuda::device_name(), gpu_driver()}, "GPUs");
        Findings findings = judge_equal({.what = "the GPU", .advice = "use nodes of one kind"}, facts[0], hosts_);
        for (Finding& found : judge_equal({.what = "the GPU driver", .advice = "install the same driver on every node"},
                                          facts[1], hosts_))
            findings.push_back(std::move(found));
        report_.add("GPU", fmt::format("{}, {}", facts[0][0], facts[1][0]), findings);
    }

    // Compares the nodes' free memory with the bytes that the ranks will need. GPU memory is tested by allocating it.
    void check_memory() {
        const bool cpu = device_ == Device::cpu;
        const double mine =
            cpu ? double(plan_.total_bytes() + checkpoint_copy_bytes(config().checkpoint, plan_.saved_bytes))
                : double(plan_.saved_bytes);
        const AvailableMemory available = available_memory();
        const std::vector<double> needed = gather(world_, mine, "memory that ranks need");
        const std::vector<double> there = gather(world_, double(available.bytes), "memory that is available");
        const std::vector<double> shared = gather(world_, shared_memory(), "shared memory that is free");
        const std::vector<std::string> limits = gather(world_, available.limit, "limits of memory");
        std::vector<RankMemory> ranks;
        ranks.reserve(hosts_.size());
        for (std::size_t rank = 0; rank < hosts_.size(); ++rank)
            ranks.push_back(
                {needed[rank], there[rank], limits[rank], cpu ? shared_bytes : shared_bytes_gpu, shared[rank]});
        const std::vector<NodeMemory> nodes = memory_of_nodes(ranks, hosts_);
        const auto tightest =
            *std::min_element(nodes.begin(), nodes.end(), [](const NodeMemory& a, const NodeMemory& b) {
                return a.available_bytes - a.needed_bytes < b.available_bytes - b.needed_bytes;
            });
        Findings findings = judge_memory(nodes, hosts_);
        if (!cpu) take_device_memory(findings);
        report_.add("memory",
                    fmt::format("{}: needs {} of {} ({}), /dev/shm {} free", ranks_text(tightest.ranks, hosts_),
                                bytes_text(tightest.needed_bytes), bytes_text(tightest.available_bytes), tightest.limit,
                                bytes_text(tightest.shared_free_bytes)),
                    findings);
    }

    static double shared_memory() {
        try {
            return double(free_bytes("/dev/shm"));
        } catch (const Error&) {
            return 0.0;
        }
    }

    void take_device_memory(Findings& findings) {
        std::string failed;
        {
            std::optional<Arena> taken;
            try {
                taken.emplace(plan_.total_bytes(), Device::cuda);
            } catch (const Error& error) {
                failed = error.what();
            }
            world_.barrier("memory of GPUs");  // ranks that share a GPU must hold their memory at the same time
        }
        const std::vector<std::string> failures = gather(world_, failed, "memory of GPUs");
        for (std::size_t rank = 0; rank < failures.size(); ++rank)
            if (!failures[rank].empty())
                findings.push_back(
                    {Severity::problem,
                     fmt::format(
                         "{}: cannot allocate {} of GPU memory: {}; end other programs on this GPU (nvidia-smi lists "
                         "them)",
                         ranks_text({int(rank)}, hosts_), bytes_text(double(plan_.total_bytes())), failures[rank])});
    }

    void check_links() {
        if (world_.size() == 1) return;
        const std::vector<MeasuredLink> links =
            measure_links(world_, link_rounds(hosts_), options_.quick ? 0 : link_bytes);
        std::vector<double> seconds, rates;
        for (const MeasuredLink& link : links) {
            seconds.push_back(link.seconds);
            rates.push_back(link.bytes_per_second);
        }
        std::string text = fmt::format("{}, a small message takes {}", links.size(), seconds_text(median(seconds)));
        if (!options_.quick)
            text += fmt::format(", {} MiB transfer at {} (slowest link {})", link_bytes / mebibyte,
                                rate_text(median(rates)), rate_text(*std::min_element(rates.begin(), rates.end())));
        // Latency alone is too noisy to judge a link: without bandwidths the links are only tested for errors.
        report_.add("links", text, options_.quick ? Findings{} : judge_links(links, hosts_, options_.slow_factor));
    }

    void check_speed() {
        Context context(threads_, Arena(0, device_));
        if (device_ == Device::cpu) check_all_reduce(world_, context, "all-reduce");
        std::unique_ptr<Communicator> copy = world_.duplicate();
        Mesh mesh = make_mesh(std::move(copy), mesh_size_, config().parallel.order);
        serve_device(mesh, context, config().parallel.share_gpu);
        if (is_news(*mesh.tensor)) check_all_reduce(*mesh.tensor, context, "tensor groups");
        if (is_news(*mesh.data)) check_all_reduce(*mesh.data, context, "data groups");
        if (mesh_size_.pipeline > 1) check_neighbours(*mesh.pipeline_forward, context);
        check_products(context);
    }

    // On the CPU a group of all ranks is not measured separately: it uses the same links as the world.
    bool is_news(const Communicator& group) const { return device_ != Device::cpu || group.size() < world_.size(); }

    // Times an all-reduce of the world, or of all groups of one kind, which are compared with each other.
    void check_all_reduce(Communicator& group, Context& context, const char* name) {
        const double ranks = group.size();
        if (ranks == 1) return;
        const std::vector<double> times =
            gather(world_, all_reduce_seconds(group, context, reduced_bytes), "times of all_reduce");
        const double rate = double(reduced_bytes) / median(times);
        report_.add(name,
                    fmt::format("{} MiB over {} ranks: {} (algorithm), {} (bus)", reduced_bytes / mebibyte, ranks,
                                rate_text(rate), rate_text(rate * 2.0 * (ranks - 1.0) / ranks)),
                    judge_times(fmt::format("all-reduce of {} MiB", reduced_bytes / mebibyte), times, hosts_,
                                options_.slow_factor));
    }

    void check_neighbours(Communicator& stages, Context& context) {
        const std::vector<double> times =
            gather(world_, neighbour_seconds(stages, context, link_bytes), "times between stages");
        report_.add("stages",
                    fmt::format("{} MiB from each stage to the next: {}", link_bytes / mebibyte,
                                rate_text(double(link_bytes) / median(times))),
                    judge_times("messages between pipeline stages", times, hosts_, options_.slow_factor));
    }

    void check_products(Context& context) {
        const ProductShape shape{.rows = device_ == Device::cpu ? 512 : 8192,  // enough rows to use the whole device
                                 .out = config().model.ffn_size,
                                 .in = config().model.hidden_size,
                                 .dtype = storage_dtype(config().compute.dtype)};
        const std::vector<double> rates =
            gather(world_, product_rate(world_, context, shape, product_seconds), "rates of matrix products");
        const auto [least, most] = std::minmax_element(rates.begin(), rates.end());
        report_.add(
            "products",
            fmt::format("{} x {} x {} in {}: {:.4g} GFLOP/s per rank (from {:.4g} to {:.4g})", shape.rows, shape.out,
                        shape.in, dtype_name(shape.dtype), median(rates) * 1e-9, *least * 1e-9, *most * 1e-9),
            judge_products(rates, hosts_));
    }

    void print() const {
        if (world_.rank() == 0) fmt::print("{}", report_.text(options_.strict));
    }

    void conclude() {
        std::int64_t problems = report_.problems(options_.strict);  // rank 0's count decides
        world_.broadcast(&problems, sizeof problems, 0, "the number of problems");
        if (problems == 0) return;
        const bool bad_file = report_.only_bad_files(options_.strict);
        throw AgreedError(
            bad_file ? ExitCode::bad_file : ExitCode::environment,
            fmt::format("preflight: {} problem(s), listed above; fix them before you start the run", problems));
    }

    LoadedConfig loaded_;
    Communicator& world_;
    const MpiSession& mpi_;
    Options options_;
    Hosts hosts_;
    Report report_;
    MeshSize mesh_size_;
    int threads_ = 1;
    Device device_ = Device::cpu;
    ReplicaPlan plan_;
};

}  // namespace

void run(const LoadedConfig& config, std::unique_ptr<Communicator> world, const MpiSession& mpi,
         const Options& options) {
    const double configured = config.values.parallel.timeout_seconds;
    world->waits().timeout_seconds = configured > 0 ? std::min(configured, options.wait_seconds) : options.wait_seconds;
    Preflight(config, *world, mpi, options).run();
}

}  // namespace gpas::preflight
