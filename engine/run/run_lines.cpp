#include "engine/run/run_lines.hpp"

#include "base/bytes_text.hpp"
#include "io/config/enum_names.hpp"

#include <fmt/format.h>

namespace gpas {
namespace {

std::string text_of(std::int64_t bytes) { return bytes_text(double(bytes)); }

}  // namespace

std::vector<std::string> run_lines(const RunConfig& config, const Mesh& mesh, const Replica& replica,
                                   std::int64_t micro_batches) {
    const ReplicaPlan& plan = replica.plan();
    const ReplicaShape& shape = replica.shape();
    std::vector<std::string> lines;
    lines.push_back(fmt::format("{}: {}, {} parameters, {} rank(s) x {} thread(s), {}", config.name,
                                name_of(config.model.architecture), parameter_count(config.model), mesh.world->size(),
                                shape.threads, dtype_name(storage_dtype(config.compute.dtype))));
    if (mesh.size.tensor * mesh.size.pipeline > 1)
        lines.push_back(fmt::format("tensor {}{} x pipeline {} ({}) x data {}{}", mesh.size.tensor,
                                    shape.compute.sequence_parallel ? " with sequence parallelism" : "",
                                    mesh.size.pipeline, name_of(config.parallel.schedule), mesh.size.data,
                                    config.parallel.sharded_optimizer ? " with sharded optimizer" : ""));
    lines.push_back(fmt::format("global batch {} samples x {} tokens = {} x {} micro-batch(es) of {}",
                                config.training.global_batch_size, config.data.sequence_length, mesh.size.data,
                                micro_batches, config.training.micro_batch_size));
    lines.push_back(
        fmt::format("memory of rank {}: {} = weights {} + gradients {} + optimizer {} + activations {} + "
                    "buffers {}",
                    mesh.world->rank(), text_of(plan.total_bytes()), text_of(plan.weight_bytes),
                    text_of(plan.gradient_bytes), text_of(plan.optimizer_bytes), text_of(plan.activation_bytes),
                    text_of(plan.buffer_bytes + plan.recomputed_bytes + plan.scratch_bytes)));
    return lines;
}

std::string advice_on(const std::string& event) {
    if (event == "different_weights")
        return "copies of the same weights must be equal, so memory, a processor or a link of a node has failed (or "
               "gpas has a bug): test the memory of that node, or of all nodes named if it is not known which copy is "
               "right; keep the node out of the job; and start again: checkpoints that were written after the last "
               "comparison without a difference (guard.weights_every) are set aside, so the run resumes from before it";
    const char* key = event == "bad_numbers" ? "training.on_bad_numbers" : "guard.on_spike";
    return fmt::format(
        "lower optimizer.learning_rate or set optimizer.clip_grad, and resume from the last checkpoint "
        "({} can pass over such steps)",
        key);
}

std::vector<std::string> truncation_lines(const RunData& data) {
    std::vector<std::string> lines;
    for (const auto& [source, weight] : data.train.sources()) {
        if (!source.truncates() || source.shape().truncated_end != TruncatedEnd::automatic) continue;
        const auto end = source.truncated_end_token();
        lines.push_back(fmt::format("{}: documents of more than {} tokens are cut and end {}", source.source().prefix(),
                                    source.shape().sequence_length,
                                    end ? fmt::format("with EOS (token {})", *end)
                                        : "in their text, because the documents of this file do not end with EOS"));
    }
    return lines;
}

}  // namespace gpas
