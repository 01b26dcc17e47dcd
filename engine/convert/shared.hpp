// What both directions of a conversion do. Internal to engine/convert.
#pragma once

#include "engine/convert/convert.hpp"
#include "engine/convert/logits.hpp"
#include "io/hugging_face/token_ids.hpp"

namespace gpas {

// Error(usage) where something is there already.
void check_new(const std::filesystem::path& directory);
// A directory under construction beside its target (".NAME.tmp"). It gets the target's name in publish(); if that is
// not called, the destructor removes it. Rank 0 acts, the others know the path.
class NewDirectory {
public:
    NewDirectory(Communicator& world, const std::filesystem::path& target);  // collective
    ~NewDirectory();
    NewDirectory(const NewDirectory&) = delete;
    NewDirectory& operator=(const NewDirectory&) = delete;
    const std::filesystem::path& path() const { return path_; }
    void publish();  // rank 0

private:
    std::filesystem::path target_, path_;
    bool pending_ = false;
};

// Error(bad_file) for the first NaN or Inf, naming the element. tensor: its file and name.
void check_finite(const std::vector<float>& values, const std::vector<std::int64_t>& shape, const std::string& tensor);

// Whole or not there. Error(environment).
void write_text(const std::filesystem::path& file, const std::string& text);
void copy_whole(const std::filesystem::path& from, const std::filesystem::path& to);

// Error(usage or bad_file) if a tokenizer does not fit an imported model: more pieces than vocab_size, tokens of
// added_tokens.json, tokenizer_config.json or tokenizer.json that the SentencePiece file does not have.
void check_tokenizer_fits(const std::filesystem::path& file, const std::filesystem::path& directory,
                          std::int64_t vocab_size);

// Says how far the logits of both are apart. exact: Error(internal) where they are not the same bits.
void report_logits(const ConvertOptions& options, const std::string& tokens, const ModelConfig& source_model,
                   const Weights& source, const ModelConfig& result_model, const Weights& result, bool exact);

}  // namespace gpas
