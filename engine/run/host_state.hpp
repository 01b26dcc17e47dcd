// A rank's weights and Adam moments in host memory, for writing and reading checkpoints.
#pragma once

#include "engine/model/parameters.hpp"
#include "io/checkpoint/checkpoint.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

// Which elements of its pieces a rank writes to a checkpoint, or reads from one.
enum class Share {
    written,  // each element of replicated state on one of its ranks only
    wanted,   // all elements of the rank's pieces
};

// Bytes that this rank writes to a checkpoint.
std::int64_t saved_bytes(const ParameterStore& store);
// Bytes of host memory for a copy of what a rank saves, so that training continues during saves: saved_bytes, or 0 (no
// copy, training waits for saves) if that exceeds checkpoint.buffer_gib.
std::int64_t checkpoint_copy_bytes(const CheckpointConfig& config, std::int64_t saved_bytes);

// The store's owned pieces as hyperslabs of global tensors: either in place, or as copies in host memory that is
// allocated once. On a GPU they are always copies (in pinned memory if `in_background`); on the CPU only if
// `in_background`. With `in_background` training may change the pieces while a downloaded copy is written to a file.
class HostState {
public:
    HostState(const RunConfig& config, Context& context, const ParameterStore& store, Share share, bool moments,
              bool in_background = false);
    HostState(const HostState&) = delete;
    HostState& operator=(const HostState&) = delete;

    // Hyperslabs of the tensors of the whole model. On every rank each tensor has at least one entry; it is empty if
    // the rank has no element of the tensor.
    std::vector<StateTensor> tensors() const;
    void download();  // copies = pieces
    void upload();    // pieces = copies

private:
    struct Copied {
        std::size_t piece = 0;   // index in ParameterStore::owned()
        Range elements;          // of the rank's slab
        const char* group = "";  // "weights", "adam_m" or "adam_v"
        std::int64_t at = 0;     // offset in the copy, elements
        Tensor there;            // the store's tensor, which begins at OwnedPiece::stored
        float* here = nullptr;   // host memory of `elements`, without padding
    };
    // Pieces that are adjacent in memory, except for small gaps of padding. They are copied together, since large
    // copies are 1.5 times as fast.
    struct Run {
        const float* there = nullptr;
        std::int64_t elements = 0;
        std::int64_t here = 0;  // offset in the copy, elements
    };
    std::int64_t lay_out_runs();
    std::int64_t lay_out_pieces();
    void add(std::size_t piece, Range elements, const char* group, const Tensor& there);
    void download(const Copied& copied);
    void upload(const Copied& copied);
    // stored_part: the part of `there` that stores the elements, padding included. for_each_run: calls body(first
    // element, its offset in that part, number of elements) per run of elements without padding between them.
    Tensor stored_part(const Copied& copied) const;
    void for_each_run(const Copied& copied,
                      const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& body) const;

    const RunConfig& config_;
    Context& context_;
    const ParameterStore& store_;
    bool moments_;
    bool copies_;
    std::vector<Copied> all_;
    std::vector<Run> runs_;  // on the CPU
    std::shared_ptr<float> memory_;
    std::vector<float> stored_;  // staging: one padded tensor as the GPU stores it
};

}  // namespace gpas
