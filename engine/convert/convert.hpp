// Checkpoints to and from Hugging Face's format. Every conversion reads back what it wrote and compares it with where
// it came from, bit by bit; and, where asked to, the logits of both on the same tokens.
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
    bool fold_gates = false;                   // export a gated model as a plain LLaMA
    std::int64_t shard_bytes = 5'000'000'000;  // largest file of exported weights, unless one tensor is larger
    std::string tokenizer;          // SentencePiece model; empty: the source's; "none": leave the tokenizer out
    std::string architecture;       // of an imported model whose config.json does not say; empty: it does
    std::int64_t post_layers = -1;  // of an imported Mix-LN model, likewise; -1: it does, or a quarter
    bool logits = true;
    std::string tokens;  // prefix of token files for the logits; empty: the source's, or pseudo-random
    int threads = 1;
    std::function<void(const std::string&)> say;  // lines for people; rank 0
};

// source: a checkpoint file. target: a new directory with config.json, generation_config.json, safetensors and what
// there is of a tokenizer; it appears when all of it is there. Ranks share the files. Memory: near one tensor a rank,
// but for the logits (rank 0: the model in fp32). Collective; Error.
void export_hugging_face(Communicator& world, const ConvertOptions& options);

// source: a directory with config.json and safetensors. target: a new run directory: config.yaml, and a checkpoint of
// step 0 with weights alone, for checkpoint.init_from, gpas eval and gpas generate. Likewise.
void import_hugging_face(Communicator& world, const ConvertOptions& options);

}  // namespace gpas
