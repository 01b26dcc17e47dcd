// The progress of a `gpas prepare`: <prefix>.prepare.json in the directory of the token files.
#pragma once

#include "io/data/indexed_writer.hpp"
#include "io/data/prepare.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

struct PrepareManifest {
    std::string identity;         // of the options and the inputs that the token files depend on
    std::uint64_t tokenizer = 0;  // fingerprint of the model
    TextPosition next;
    IndexedDatasetWriter::Mark mark;
    std::int64_t documents = 0, empty_documents = 0, text_bytes = 0, replaced_characters = 0;
    TextLoss loss;
    LineProblemCounts skipped_lines{};
    bool done = false;
    std::uint64_t dataset = 0;  // done: fingerprint of the token files
};

void save_manifest(const std::string& path, const PrepareManifest& manifest);
// Empty if there is no manifest. A damaged manifest counts as missing; `problem` then holds the reason.
std::optional<PrepareManifest> load_manifest(const std::string& path, std::string& problem);

// One line of JSON that differs if any option or input file (name, size, time, first and last bytes) differs. With a
// stream among the inputs it differs each time.
std::string prepare_identity(const PrepareOptions& options, const TextInputs& inputs);

}  // namespace gpas
