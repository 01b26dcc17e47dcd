#include "engine/run/run_state.hpp"

#include "base/error.hpp"
#include "base/hash.hpp"
#include "engine/run/host_state.hpp"
#include "engine/run/same_run.hpp"
#include "io/data/tokenizer.hpp"
#include "parallel/agree.hpp"

#include <fstream>
#include <iterator>

namespace gpas {

Progress progress_after_step(const Progress& before, const RunConfig& config, bool updated) {
    const std::int64_t samples = config.training.global_batch_size;
    return {.step = before.step + 1,
            .updates = before.updates + (updated ? 1 : 0),
            .consumed_samples = before.consumed_samples + samples,
            .consumed_tokens = before.consumed_tokens + samples * config.data.sequence_length};
}

std::filesystem::path checkpoint_directory(const RunConfig& config) {
    return std::filesystem::path(config.directory) / "checkpoints";
}

CheckpointHeader checkpoint_header(const RunConfig& config, const RunIdentity& identity, const Progress& progress,
                                   const RunMemory& memory) {
    return {.software = "gpas " GPAS_VERSION,
            .run_name = config.name,
            .step = progress.step,
            .consumed_samples = progress.consumed_samples,
            .consumed_tokens = progress.consumed_tokens,
            .optimizer_steps = progress.updates,
            .seed = std::int64_t(config.seed),
            .config = identity.config_text,
            .layout = identity.layout,
            .dataset_fingerprint = identity.dataset_fingerprint,
            .tokenizer_fingerprint = identity.tokenizer_fingerprint,
            .extra = memory};
}

std::optional<std::filesystem::path> find_checkpoint(Communicator& group, const RunConfig& config,
                                                     std::vector<std::string>* notes, std::int64_t below) {
    if (config.checkpoint.resume == "never") return std::nullopt;
    if (config.checkpoint.resume != "auto") return config.checkpoint.resume;
    std::string file = agree(group, [&] {
        if (group.rank() != 0) return std::string();
        const auto newest = newest_complete(checkpoint_directory(config), notes, below);
        return newest ? newest->string() : std::string();
    });
    broadcast(group, file, 0, "the checkpoint to resume from");
    if (file.empty()) return std::nullopt;
    return file;
}

Progress load_run(const LoadTarget& target, const std::filesystem::path& file, bool moments) {
    HostState state(target.config, target.context, target.store, Share::wanted, moments);
    const CheckpointHeader header = load_checkpoint(target.world, file, state.tensors());
    state.upload();
    publish_weights(target.context, target.store, target.data);
    return {.step = header.step,
            .updates = header.optimizer_steps,
            .consumed_samples = header.consumed_samples,
            .consumed_tokens = header.consumed_tokens};
}

std::string file_fingerprint(const std::string& path) {
    if (path.empty()) return {};
    std::ifstream file(tokenizer_file(path), std::ios::binary);
    if (!file) fail(ExitCode::bad_file, "{}: cannot be opened; check data.tokenizer", path);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return fmt::format("{:016x}", hash_of(bytes));
}

}  // namespace gpas
