#include "engine/training/run_state.hpp"

#include "io/config/load.hpp"

#include <xxhash.h>

#include <fstream>
#include <iterator>

namespace gpas {
namespace {

StateTensor whole(const std::string& group, const ParameterSpec& spec, const Tensor& data) {
    return {.name = group + "/" + spec.name,
            .global_shape = spec.shape,
            .start = std::vector<std::int64_t>(spec.shape.size(), 0),
            .count = spec.shape,
            .data = data.as<float>()};
}

std::vector<StateTensor> state_tensors(const ParameterStore& store, bool moments) {
    std::vector<StateTensor> tensors;
    for (std::size_t i = 0; i < store.specs().size(); ++i) {
        const ParameterSpec& spec = store.specs()[i];
        tensors.push_back(whole("weights", spec, store.master(i)));
        if (!moments) continue;
        tensors.push_back(whole("adam_m", spec, store.adam_m(i)));
        tensors.push_back(whole("adam_v", spec, store.adam_v(i)));
    }
    return tensors;
}

}  // namespace

std::filesystem::path checkpoint_directory(const RunConfig& config) {
    return std::filesystem::path(config.directory) / "checkpoints";
}

std::filesystem::path save_run(Communicator& data_group, const RunConfig& config, const RunIdentity& identity,
                               const Progress& progress, const ParameterStore& store,
                               std::vector<std::string>& notes) {
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
    std::vector<StateTensor> shares;
    for (const StateTensor& tensor : state_tensors(store, true))
        shares.push_back(split_replicas(tensor, data_group.rank(), data_group.size()));
    std::filesystem::path file = save_checkpoint(data_group, checkpoint_directory(config), header, shares);
    if (data_group.rank() == 0) notes = keep_last(checkpoint_directory(config), config.checkpoint.keep_last);
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

Progress load_run(Communicator& group, Context& context, const std::filesystem::path& file, ParameterStore& store,
                  bool moments) {
    const CheckpointHeader header = load_checkpoint(group, file, state_tensors(store, moments));
    refresh_compute_weights(context, store);
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
