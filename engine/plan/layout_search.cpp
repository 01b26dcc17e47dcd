#include "engine/plan/layout_search.hpp"

#include "base/error.hpp"
#include "engine/plan/gpu_memory.hpp"

#include <algorithm>

namespace gpas {
namespace {

std::vector<std::int64_t> divisors(std::int64_t n) {
    std::vector<std::int64_t> all;
    for (std::int64_t k = 1; k <= n; ++k)
        if (n % k == 0) all.push_back(k);
    return all;
}

struct Schedule {
    const char* name;
    int chunks;
};

// Overrides for every key of the layout, so that no value of the configuration's own layout remains.
std::vector<std::string> overrides_of(std::int64_t tensor, bool sequence, std::int64_t pipeline,
                                      const Schedule& schedule, const char* recompute, std::int64_t micro) {
    std::vector<std::string> overrides{fmt::format("parallel.tensor={}", tensor),
                                       fmt::format("parallel.sequence_parallel={}", sequence),
                                       fmt::format("parallel.pipeline={}", pipeline),
                                       fmt::format("parallel.schedule={}", schedule.name),
                                       fmt::format("parallel.virtual_chunks={}", schedule.chunks),
                                       "parallel.stage_layers=auto",
                                       "parallel.data=0",
                                       fmt::format("parallel.recompute={}", recompute),
                                       fmt::format("training.micro_batch_size={}", micro)};
    return overrides;
}

}  // namespace

std::int64_t device_bytes_of(const RunConfig& config, const RunPlan& plan, Device device, int per_node) {
    const std::int64_t arenas = plan.largest().memory.total_bytes();
    if (device == Device::cpu) return arenas;
    return arenas + gpu_overhead(plan.mesh, per_node, config.model.tied_embeddings).total_bytes();
}

std::vector<LayoutChoice> search_layouts(const RunConfig& config, const LayoutSearch& search, const DeviceSpeed& speed,
                                         const std::function<LoadedConfig(const std::vector<std::string>&)>& reload) {
    const std::int64_t ranks = search.ranks;
    std::vector<LayoutChoice> found;
    const auto consider = [&](const std::vector<std::string>& overrides) {
        try {
            const LoadedConfig loaded = reload(overrides);
            LayoutChoice choice{.overrides = overrides, .plan = plan_run(loaded, ranks, search.threads, search.device)};
            const std::int64_t needed = device_bytes_of(config, choice.plan, search.device, speed.per_node);
            if (search.memory_bytes > 0 && double(needed) > search.memory_bytes) return;
            choice.time = predict_step(loaded, choice.plan, speed);
            found.push_back(std::move(choice));
        } catch (const Error& error) {
            if (error.code() != ExitCode::usage) throw;  // the configuration refuses this layout: left out
        }
    };
    // With many ranks only the smallest micro-batch sizes divide the global batch.
    const std::int64_t largest = std::max<std::int64_t>(4 * config.training.micro_batch_size, 16);
    std::vector<std::int64_t> micro_batches;
    for (const std::int64_t micro : divisors(config.training.global_batch_size))
        if (micro <= largest) micro_batches.push_back(micro);

    for (const std::int64_t tensor : divisors(ranks)) {
        if (tensor > speed.per_node) continue;
        for (const std::int64_t pipeline : divisors(ranks / tensor)) {
            std::vector<Schedule> schedules{{"1f1b", 1}};
            if (pipeline > 1) schedules = {{"1f1b", 1}, {"interleaved", 2}, {"zb_h1", 1}};
            for (const Schedule& schedule : schedules)
                for (const bool sequence : {false, true}) {
                    if (sequence && tensor == 1) continue;
                    for (const char* recompute : {"none", "selective", "full"})
                        for (const std::int64_t micro : micro_batches)
                            consider(overrides_of(tensor, sequence, pipeline, schedule, recompute, micro));
                }
        }
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const LayoutChoice& a, const LayoutChoice& b) { return a.time.total() < b.time.total(); });
    return found;
}

}  // namespace gpas
