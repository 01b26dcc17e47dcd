#include "engine/training/plan.hpp"
#include "io/config/enum_names.hpp"

#include <algorithm>
#include <set>

namespace gpas {
namespace {

std::vector<std::int64_t> divisors(std::int64_t n) {
    std::vector<std::int64_t> all;
    for (std::int64_t k = 1; k <= n; ++k)
        if (n % k == 0) all.push_back(k);
    return all;
}

// Divisors of the configured one, and 2, 4 and 8 times it, that divide the global batch.
std::set<std::int64_t> micro_batches(const TrainingConfig& training) {
    std::set<std::int64_t> all;
    for (const std::int64_t size : divisors(training.micro_batch_size)) all.insert(size);
    for (const std::int64_t times : {2, 4, 8}) all.insert(times * training.micro_batch_size);
    std::erase_if(all, [&](std::int64_t size) { return training.global_batch_size % size != 0; });
    return all;
}

struct Schedule {
    PipelineSchedule name = PipelineSchedule::one_f_one_b;
    std::int64_t chunks = 1;
};

// What is searched over.
struct Layout {
    std::int64_t tensor = 1;
    std::int64_t pipeline = 1;
    bool sequence_parallel = false;
    Schedule schedule;
    Recompute recompute = Recompute::none;
    std::int64_t micro_batch = 1;
};

// Calls visit(layout) for all of them, possible or not.
template <class Visit>
void for_each_layout(const RunConfig& config, std::int64_t ranks, std::int64_t most_tensor, Visit&& visit) {
    const std::set<std::int64_t> micro = micro_batches(config.training);
    for (const std::int64_t tensor : divisors(ranks))
        for (const std::int64_t pipeline : divisors(ranks / tensor))
            for (const bool sequence : {false, true})
                for (const Schedule& schedule : {Schedule{PipelineSchedule::one_f_one_b, 1},
                                                 Schedule{PipelineSchedule::interleaved, 2},
                                                 Schedule{PipelineSchedule::zb_h1, 1}})
                    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
                        const bool alone = pipeline == 1 && schedule.name != PipelineSchedule::one_f_one_b;
                        if (tensor > most_tensor || alone || (sequence && tensor == 1)) continue;
                        for (const std::int64_t size : micro)
                            visit(Layout{tensor, pipeline, sequence, schedule, recompute, size});
                    }
}

// Where the layout differs from the configuration.
std::vector<std::string> overrides_of(const Layout& layout, const RunConfig& config) {
    const ParallelConfig& parallel = config.parallel;
    std::vector<std::string> overrides;
    const auto add = [&](const char* key, const auto& value, const auto& configured) {
        if (value != configured) overrides.push_back(fmt::format("{}={}", key, value));
    };
    add("parallel.tensor", layout.tensor, parallel.tensor);
    add("parallel.sequence_parallel", layout.sequence_parallel, parallel.sequence_parallel);
    add("parallel.pipeline", layout.pipeline, parallel.pipeline);
    add("parallel.schedule", name_of(layout.schedule.name), name_of(parallel.schedule));
    add("parallel.virtual_chunks", layout.schedule.chunks, parallel.virtual_chunks);
    add("parallel.stage_layers", std::string("auto"), parallel.stage_layers);
    add("parallel.data", 0, parallel.data);
    add("parallel.recompute", name_of(layout.recompute), name_of(parallel.recompute));
    add("training.micro_batch_size", layout.micro_batch, config.training.micro_batch_size);
    return overrides;
}

}  // namespace

std::vector<LayoutChoice> search_layouts(const RunConfig& config, std::int64_t ranks, int threads, double memory_bytes,
                                         const DeviceSpeed& speed,
                                         const std::function<LoadedConfig(const std::vector<std::string>&)>& reload) {
    std::vector<LayoutChoice> found;
    for_each_layout(config, ranks, speed.per_node, [&](const Layout& layout) {
        try {
            LayoutChoice choice{.overrides = overrides_of(layout, config)};
            const LoadedConfig loaded = reload(choice.overrides);
            choice.plan = plan_run(loaded, ranks, threads);
            if (memory_bytes > 0 && double(choice.plan.largest().memory.total_bytes()) > memory_bytes) return;
            choice.seconds = predicted_step_seconds(loaded.values, choice.plan, speed);
            found.push_back(std::move(choice));
        } catch (const Error& error) {
            if (error.code() != ExitCode::usage) throw;  // a layout that is refused is none
        }
    });
    std::ranges::stable_sort(found, {}, &LayoutChoice::seconds);
    return found;
}

}  // namespace gpas
