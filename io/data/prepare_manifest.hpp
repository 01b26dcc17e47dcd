// The progress of `gpas prepare`, from which it resumes: <prefix>.prepare.json in the directory of the token files.
#pragma once

#include "io/data/indexed_writer.hpp"
#include "io/data/prepare.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

struct PrepareManifest {
    std::string identity;         // prepare_identity(): the options and inputs that determine the token files
    std::uint64_t tokenizer = 0;  // fingerprint of the tokenizer's file
    std::string tokenizer_kind;   // tokenizer_kind_name()
    std::int64_t eos = -1;        // the id that ends documents; -1: none, or written before this key existed
    TextPosition next;            // first text that is not yet written
    IndexedDatasetWriter::Mark mark;
    std::int64_t documents = 0, empty_documents = 0, text_bytes = 0, replaced_characters = 0;
    TextLoss loss;
    LineProblemCounts skipped_lines{};
    bool done = false;
    std::uint64_t dataset = 0;  // if done: fingerprint of the token files
};

void save_manifest(const std::string& path, const PrepareManifest& manifest);
// nullopt if there is no manifest. A damaged manifest counts as missing; `problem` then holds the reason.
std::optional<PrepareManifest> load_manifest(const std::string& path, std::string& problem);

// One line of JSON that identifies the options and the input files (name, size, time, first and last bytes). If an
// input is a stream, the result differs on every call.
std::string prepare_identity(const PrepareOptions& options, const TextInputs& inputs);

}  // namespace gpas
