// Weights and moments of a rank where files can reach them.
#pragma once

#include "engine/model/parameters.hpp"
#include "io/checkpoint/checkpoint.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

// Elements of a rank's pieces that a checkpoint gets from it, or that it wants from one.
enum class Share {
    written,  // of state that several ranks have alike, each its own part
    wanted,   // all that this rank keeps
};

// What this rank adds to a checkpoint, bytes.
std::int64_t saved_bytes(const ParameterStore& store);
// Host memory that a rank keeps for it, so that training goes on during saves: none where that is more than the
// configuration allows.
std::int64_t checkpoint_copy_bytes(const CheckpointConfig& config, std::int64_t saved_bytes);

// The store's owned pieces as hyperslabs of global tensors: in place, or in host memory of their own, which is taken
// once and kept. On a GPU always the latter (pinned with `beside`); on the CPU only with `beside`: then training may
// change the pieces while what was downloaded is written.
class HostState {
public:
    HostState(const RunConfig& config, Context& context, const ParameterStore& store, Share share, bool moments,
              bool beside = false);
    HostState(const HostState&) = delete;
    HostState& operator=(const HostState&) = delete;

    // Every tensor of the model is named on every rank, whatever the rank has of it.
    std::vector<StateTensor> tensors() const;
    void download();  // copies = pieces
    void upload();    // pieces = copies

private:
    struct Copied {
        std::size_t piece = 0;  // of the store
        Range elements;         // of the rank's slab
        const char* group = "";
        std::int64_t at = 0;    // in the copy
        Tensor there;           // as the store has it, from OwnedPiece::stored on
        float* here = nullptr;  // of `elements`, without padding
    };
    // Pieces that follow each other in memory, with the little that lies between them: copied in one go, since large
    // copies are faster by half.
    struct Run {
        const float* there = nullptr;
        std::int64_t elements = 0;
        std::int64_t here = 0;  // in the copy
    };
    std::int64_t lay_out_runs();
    std::int64_t lay_out_pieces();
    void add(std::size_t piece, Range elements, const char* group, const Tensor& there);
    void download(const Copied& copied);
    void upload(const Copied& copied);
    // The part of `there` that holds the elements; and calls body(element, where it is stored in that part, how many).
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
    std::vector<float> stored_;  // one tensor as the GPU has it
};

}  // namespace gpas
