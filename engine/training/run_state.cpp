#include "engine/training/run_state.hpp"

#include "io/checkpoint/blocks.hpp"
#include "io/config/load.hpp"

#include <xxhash.h>

#include <fstream>
#include <iterator>

namespace gpas {
namespace {

enum class Share {
    written,  // of state that several ranks have alike, each its own part
    wanted,   // all that this rank keeps
};

// This rank's elements of one piece, all of which it writes or reads.
Range elements_of(const ParameterStore& store, const OwnedPiece& piece, Share share) {
    const ParameterSpec& spec = store.specs()[piece.parameter];
    if (share == Share::wanted) return piece.elements;
    const StoreShape& shape = store.shape();
    if (spec.copy || (spec.tensor_axis < 0 && shape.tensor_rank != 0)) return {};
    if (store.buckets()[store.bucket_of(piece.parameter)].sharded) return piece.elements;
    const Range part = shard_range(piece.elements.size(), shape.data_rank, shape.data_size);
    return {piece.elements.begin + part.begin, piece.elements.begin + part.end};
}

// The hyperslabs of elements [range) of a parameter's slab; values: data of the piece, which begins at `first`.
void add_slabs(std::vector<StateTensor>& tensors, const std::string& group, const ParameterSpec& spec,
               const ParameterSlab& slab, Range range, const Tensor& values, std::int64_t first) {
    const StateTensor whole{
        .name = group + "/" + spec.name, .global_shape = spec.shape, .start = slab.start, .count = slab.count};
    float* data = values.as<float>() + (range.begin - first);
    for (StateTensor part : split_range(whole, range.begin, range.end)) {
        part.data = data;
        data += element_count(part.count);
        tensors.push_back(part);
    }
}

// Every tensor of the model is named on every rank, whatever the rank has of it.
std::vector<StateTensor> state_tensors(const RunConfig& config, const ParameterStore& store, bool moments,
                                       Share share) {
    std::vector<StateTensor> tensors;
    for (const ParameterSpec& spec : parameter_specs(config.model, config.optimizer))
        for (const char* group : {"weights", "adam_m", "adam_v"})
            if (moments || std::string(group) == "weights")
                tensors.push_back({.name = fmt::format("{}/{}", group, spec.name), .global_shape = spec.shape});
    for (const OwnedPiece& piece : store.owned()) {
        const Range range = elements_of(store, piece, share);
        if (range.empty()) continue;
        const ParameterSpec& spec = store.specs()[piece.parameter];
        const ParameterSlab& slab = store.slab(piece.parameter);
        add_slabs(tensors, "weights", spec, slab, range, piece.w, piece.elements.begin);
        if (!moments) continue;
        add_slabs(tensors, "adam_m", spec, slab, range, piece.m, piece.elements.begin);
        add_slabs(tensors, "adam_v", spec, slab, range, piece.v, piece.elements.begin);
    }
    return tensors;
}

}  // namespace

std::filesystem::path checkpoint_directory(const RunConfig& config) {
    return std::filesystem::path(config.directory) / "checkpoints";
}

std::filesystem::path save_run(Communicator& world, const RunConfig& config, const RunIdentity& identity,
                               const Progress& progress, const ParameterStore& store, std::vector<std::string>& notes) {
    const CheckpointHeader header{.software = "gpas " GPAS_VERSION,
                                  .run_name = config.name,
                                  .step = progress.step,
                                  .consumed_samples = progress.consumed_samples,
                                  .consumed_tokens = progress.consumed_tokens,
                                  .optimizer_steps = progress.updates,
                                  .seed = std::int64_t(config.seed),
                                  .config = identity.config_text,
                                  .layout = identity.layout,
                                  .dataset_fingerprint = identity.dataset_fingerprint,
                                  .tokenizer_fingerprint = identity.tokenizer_fingerprint};
    std::filesystem::path file = save_checkpoint(world, checkpoint_directory(config), header,
                                                 state_tensors(config, store, true, Share::written));
    if (world.rank() == 0) notes = keep_last(checkpoint_directory(config), config.checkpoint.keep_last);
    return file;
}

std::optional<std::filesystem::path> find_checkpoint(Communicator& group, const RunConfig& config,
                                                     std::vector<std::string>* notes) {
    if (config.checkpoint.resume == "never") return std::nullopt;
    if (config.checkpoint.resume != "auto") return config.checkpoint.resume;
    std::string file;
    if (group.rank() == 0) {
        const auto newest = newest_complete(checkpoint_directory(config), notes);
        if (newest) file = newest->string();
    }
    broadcast(group, file, 0, "the checkpoint to resume from");
    if (file.empty()) return std::nullopt;
    return file;
}

Progress load_run(Communicator& world, Communicator& data, const RunConfig& config, Context& context,
                  const std::filesystem::path& file, ParameterStore& store, bool moments) {
    const CheckpointHeader header = load_checkpoint(world, file, state_tensors(config, store, moments, Share::wanted));
    publish_weights(context, store, data);
    return {.step = header.step,
            .updates = header.optimizer_steps,
            .consumed_samples = header.consumed_samples,
            .consumed_tokens = header.consumed_tokens};
}

void check_same_run(const CheckpointHeader& header, const RunConfig& config, const RunIdentity& identity,
                    const std::filesystem::path& file) {
    const auto refuse = [&](const std::string& what, const std::string& then, const std::string& now) {
        fail(
            ExitCode::usage,
            "{}: {} was {} and is now {}: the run would not be continued but changed; restore it, or start another run "
            "with its own `directory` (checkpoint.resume=never starts this one anew)",
            file.string(), what, then, now);
    };
    if (header.dataset_fingerprint != identity.dataset_fingerprint)
        refuse("the fingerprint of the data", header.dataset_fingerprint, identity.dataset_fingerprint);
    if (header.tokenizer_fingerprint != identity.tokenizer_fingerprint)
        refuse("the fingerprint of the tokenizer", header.tokenizer_fingerprint, identity.tokenizer_fingerprint);
    if (header.seed != std::int64_t(config.seed))
        refuse("seed", std::to_string(header.seed), std::to_string(config.seed));

    const RunConfig then = load_config_text(header.config, file.string() + " (its configuration)").values;
    const auto same = [&](const char* key, std::int64_t before, std::int64_t after) {
        if (before != after) refuse(key, std::to_string(before), std::to_string(after));
    };
    same("training.global_batch_size", then.training.global_batch_size, config.training.global_batch_size);
    same("data.sequence_length", then.data.sequence_length, config.data.sequence_length);
    same("data.mask_documents", then.data.mask_documents, config.data.mask_documents);
    same("model.architecture", std::int64_t(then.model.architecture), std::int64_t(config.model.architecture));
}

std::string file_fingerprint(const std::string& path) {
    if (path.empty()) return {};
    std::ifstream file(path, std::ios::binary);
    if (!file) fail(ExitCode::bad_file, "{}: cannot be opened; check data.tokenizer", path);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return fmt::format("{:016x}", XXH3_64bits(bytes.data(), bytes.size()));
}

}  // namespace gpas
