// Converts checkpoints to and from Hugging Face's format. Every conversion reads the written files back and compares
// the weights with the source's, bit by bit. If `logits` is set, it also compares the logits of both models on the same
// tokens.
#pragma once

#include "io/hugging_face/safetensors.hpp"
#include "parallel/communicator.hpp"

#include <filesystem>
#include <functional>
#include <string>

namespace gpas {

struct ConvertOptions {
    std::filesystem::path source, target;
    StoredDtype dtype = StoredDtype::bf16;     // of exported weights
    bool fold_gates = false;                   // export a gated model as a plain LLaMA (fold.hpp)
    std::int64_t shard_bytes = 5'000'000'000;  // largest file of exported weights; a larger tensor gets its own file
    std::string tokenizer;                     // tokenizer's file; empty: the source's; "none": no tokenizer
    std::string architecture;                  // of an imported model; empty: as config.json says
    std::int64_t post_layers = -1;             // of an imported Mix-LN model; -1: as config.json says, else layers / 4
    bool logits = true;                        // compare logits
    std::string tokens;  // prefix of token files for the logits; empty: the source's, else pseudo-random
    int threads = 1;
    std::function<void(const std::string&)> say;  // called with lines for the user, on rank 0
};

// Converts a checkpoint file (source) to a new directory (target) with config.json, generation_config.json, safetensors
// and, if available, the tokenizer. The target appears only once it is complete. Ranks divide the weight files among
// them. Memory: about one tensor per rank; with `logits` rank 0 holds the whole model in fp32. Collective; Error.
void export_hugging_face(Communicator& world, const ConvertOptions& options);

// Converts a directory with config.json and safetensors (source) to a new run directory (target) with config.yaml and
// a checkpoint of step 0. The checkpoint has weights only, for checkpoint.init_from, gpas eval and gpas generate. The
// target appears only once it is complete. Memory as for the export. Collective; Error.
void import_hugging_face(Communicator& world, const ConvertOptions& options);

}  // namespace gpas
