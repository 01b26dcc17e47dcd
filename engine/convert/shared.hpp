// What both directions of a conversion do. Internal to engine/convert.
#pragma once

#include "engine/convert/convert.hpp"
#include "engine/convert/logits.hpp"

namespace gpas {

// Error(usage) where something is there already.
void check_new(const std::filesystem::path& directory);
// Whole or not there. Error(environment).
void write_text(const std::filesystem::path& file, const std::string& text);
void copy_whole(const std::filesystem::path& from, const std::filesystem::path& to);

// Says how far the logits of both are apart. exact: Error(internal) where they are not the same bits.
void report_logits(const ConvertOptions& options, const std::string& tokens, const ModelConfig& source_model,
                   const Weights& source, const ModelConfig& result_model, const Weights& result, bool exact);

}  // namespace gpas
