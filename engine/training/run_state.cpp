#include "engine/training/run_state.hpp"

#include "io/checkpoint/blocks.hpp"
#include "io/config/load.hpp"
#include "kernels/error.hpp"
#include "kernels/ops.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>
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

// The owned pieces where files can reach them: themselves, or copies (without padding) of what lies on a GPU.
class HostState {
public:
    HostState(Context& context, const ParameterStore& store, bool moments)
        : context_(context), store_(store), pieces_(store.owned()) {
        if (context.on_cpu()) return;
        std::int64_t elements = 0;
        for (const OwnedPiece& piece : pieces_) elements += (moments ? 3 : 1) * piece.elements.size();
        memory_.resize(std::size_t(elements));
        float* next = memory_.data();
        for (OwnedPiece& piece : pieces_)
            for (Tensor* tensor : tensors(piece)) {
                if (tensor != &piece.w && !moments) continue;
                *tensor = Tensor(next, Dtype::fp32, {piece.elements.size()});
                next += piece.elements.size();
            }
    }

    const std::vector<OwnedPiece>& pieces() const { return pieces_; }

    void download() {
        for_each_tensor([&](Tensor here, Tensor there, const OwnedPiece& piece) {
            stored_.resize(std::size_t(there.elements()));
            copy(context_, whole(there), there);
            for_each_run(piece, [&](std::int64_t element, std::int64_t stored, std::int64_t count) {
                std::copy_n(stored_.data() + stored, count, here.as<float>() + element);
            });
        });
    }
    void upload() {
        for_each_tensor([&](Tensor here, Tensor there, const OwnedPiece& piece) {
            stored_.assign(std::size_t(there.elements()), 0.0F);
            for_each_run(piece, [&](std::int64_t element, std::int64_t stored, std::int64_t count) {
                std::copy_n(here.as<float>() + element, count, stored_.data() + stored);
            });
            copy(context_, there, whole(there));
        });
    }

private:
    static std::array<Tensor*, 3> tensors(OwnedPiece& piece) { return {&piece.w, &piece.m, &piece.v}; }
    Tensor whole(const Tensor& there) { return {stored_.data(), Dtype::fp32, {there.elements()}}; }

    // body(copy on the host, tensor on the GPU, the piece there)
    template <class Body>
    void for_each_tensor(Body&& body) {
        if (context_.on_cpu()) return;
        for (std::size_t i = 0; i < pieces_.size(); ++i) {
            OwnedPiece there = store_.owned()[i];
            for (std::size_t k = 0; k < 3; ++k) {
                const Tensor here = *tensors(pieces_[i])[k];
                if (here && here.device == Device::cpu) body(here, *tensors(there)[k], there);
            }
        }
    }
    // body(first element, where it is stored, how many), both from the piece's own beginning
    template <class Body>
    void for_each_run(const OwnedPiece& piece, Body&& body) const {
        for_each_stored_run(store_.slab(piece.parameter), piece.elements, [&](Range run, std::int64_t stored) {
            body(run.begin - piece.elements.begin, stored - piece.stored, run.size());
        });
    }

    Context& context_;
    const ParameterStore& store_;
    std::vector<OwnedPiece> pieces_;
    std::vector<float> memory_;
    std::vector<float> stored_;  // one tensor as the GPU has it
};

// Every tensor of the model is named on every rank, whatever the rank has of it.
std::vector<StateTensor> state_tensors(const RunConfig& config, const ParameterStore& store,
                                       const std::vector<OwnedPiece>& pieces, bool moments, Share share) {
    std::vector<StateTensor> tensors;
    for (const ParameterSpec& spec : parameter_specs(config.model, config.optimizer))
        for (const char* group : {"weights", "adam_m", "adam_v"})
            if (moments || std::string(group) == "weights")
                tensors.push_back({.name = fmt::format("{}/{}", group, spec.name), .global_shape = spec.shape});
    for (const OwnedPiece& piece : pieces) {
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
                               const Progress& progress, Context& context, const ParameterStore& store,
                               std::vector<std::string>& notes) {
    HostState state(context, store, true);
    state.download();
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
                                                 state_tensors(config, store, state.pieces(), true, Share::written));
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
    HostState state(context, store, moments);
    const CheckpointHeader header =
        load_checkpoint(world, file, state_tensors(config, store, state.pieces(), moments, Share::wanted));
    state.upload();
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
