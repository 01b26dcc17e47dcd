#include "engine/run/setup.hpp"

#include "engine/plan/gpu_memory.hpp"
#include "engine/run/host_state.hpp"
#include "engine/run/run_lines.hpp"
#include "engine/run/run_tokenizer.hpp"
#include "engine/run/same_ranks.hpp"
#include "io/config/check.hpp"
#include "io/config/describe.hpp"
#include "io/config/no_effect.hpp"
#include "parallel/agree.hpp"

#include <utility>

namespace gpas {
namespace {

RunData open_run_data(const RunConfig& config, int threads) {
    return open_data(config.data, {.seed = config.seed,
                                   .vocab_size = config.model.vocab_size,
                                   .validation_samples = config.evaluation.samples,
                                   .threads = threads,
                                   .evaluates = config.evaluation.every > 0});
}

std::vector<ChoiceTask> read_run_tasks(const RunConfig& config) {
    return read_choice_tasks(config.evaluation.every > 0 ? config.evaluation.tasks : std::vector<std::string>());
}

// A context on a device that can compute this model and has the memory for it. Error(usage or environment).
std::unique_ptr<Context> make_checked_context(const LoadedConfig& loaded, const ReplicaShape& shape,
                                              const MeshSize& size, const ChosenDevice& device) {
    const RunConfig& config = loaded.values;
    check_device(config.model, shape.compute, device.device);
    const ReplicaPlan plan = plan_replica(shape);
    const std::int64_t copy = checkpoint_copy_bytes(config.checkpoint, plan.saved_bytes);
    check_memory(loaded, plan.total_bytes() + (device.device == Device::cpu ? copy : 0),
                 device_memory_bytes(device.device));
    if (device.device == Device::cuda) check_free_gpu_memory(loaded, size, plan.total_bytes(), gpu_room(device));
    auto context = make_context(shape);
    context->name_work(config.metrics.nvtx && !context->on_cpu());
    return context;
}

}  // namespace

RunSetup::RunSetup(const LoadedConfig& loaded, Mesh the_mesh, int thread_count, const ChosenDevice& chosen)
    : config(loaded.values),
      mesh(std::move(the_mesh)),
      threads(thread_count),
      device(chosen),
      data(agree(world(), [&] { return open_run_data(config, threads); })),
      tasks(agree(world(), [&] { return read_run_tasks(config); })),
      tokenizer(
          agree(world(), [&] { return tasks.empty() ? nullptr : open_run_tokenizer(config, "evaluation.tasks"); })),
      shape(replica_shape(config, mesh.size, mesh.place, threads, true, device.device)),
      context(agree(world(), [&] { return make_checked_context(loaded, shape, mesh.size, device); })),
      algorithms(choose_algorithms(world(), shape, *context, config.directory)),
      transport(serve_device(mesh, *context, config.parallel.share_gpu, shape.compute.tensor_overlap)),
      replica(agree(world(), [&] { return std::make_unique<Replica>(shape, *context, *mesh.tensor, *mesh.data); })) {}

RunIdentity identity_of(const RunSetup& setup) {
    const RunConfig& config = setup.config;
    const MeshSize& size = setup.mesh.size;
    RunIdentity identity = {
        .config_text = dump_config(config),
        .dataset_fingerprint = fmt::format("{:016x}", setup.data.fingerprint),
        .tokenizer_fingerprint = agree(setup.world(), [&] { return file_fingerprint(config.data.tokenizer); }),
        .layout = fmt::format("tensor {}, pipeline {}, data {}", size.tensor, size.pipeline, size.data)};
    check_same_data(setup.world(), identity.dataset_fingerprint, identity.tokenizer_fingerprint);
    return identity;
}

std::vector<std::string> setup_lines(const RunSetup& setup, std::int64_t micro_batches) {
    const RunConfig& config = setup.config;
    std::vector<std::string> lines;
    for (const std::string& note : {setup.device.note, setup.algorithms.note, setup.transport})
        if (!note.empty()) lines.push_back(note);
    for (const std::vector<std::string>& more : {run_lines(config, setup.mesh, *setup.replica, micro_batches),
                                                 truncation_lines(setup.data), lines_about_ineffective_keys(config)})
        lines.insert(lines.end(), more.begin(), more.end());
    if (setup.device.device == Device::cpu && config.compute.device != DeviceKind::cpu &&
        (config.metrics.nvtx || config.metrics.profile.from > 0))
        lines.emplace_back("metrics.nvtx and metrics.profile have no effect: the run is on the CPU");
    return lines;
}

void require_headroom(Communicator& world) {
    constexpr std::int64_t headroom_bytes = std::int64_t(96) << 20;
    agree(world, [&] { require_host_headroom(headroom_bytes); });
}

}  // namespace gpas
