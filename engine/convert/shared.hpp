// Functions for both directions of a conversion. Internal to engine/convert.
#pragma once

#include "engine/convert/convert.hpp"
#include "engine/convert/logits.hpp"
#include "io/data/tokenizer.hpp"
#include "io/hugging_face/token_ids.hpp"

namespace gpas {

// Error(usage) if the path exists and is not an empty directory.
void check_new(const std::filesystem::path& directory);
// A directory under construction, named ".NAME.tmp" in the target's parent directory. publish() renames it to the
// target; if publish() is not called, the destructor removes it. Rank 0 creates, renames and removes; the other ranks
// only know the path.
class NewDirectory {
public:
    NewDirectory(Communicator& world, const std::filesystem::path& target);  // collective
    ~NewDirectory();
    NewDirectory(const NewDirectory&) = delete;
    NewDirectory& operator=(const NewDirectory&) = delete;
    const std::filesystem::path& path() const { return path_; }
    void publish();  // on rank 0 only

private:
    std::filesystem::path target_, path_;
    bool pending_ = false;
};

// Error(bad_file) for the first NaN or Inf, naming the element. tensor: its file and name.
void check_finite(const std::vector<float>& values, const std::vector<std::int64_t>& shape, const std::string& tensor);

// The next two write a file atomically: it is complete or does not exist. Error(environment).
void write_text(const std::filesystem::path& file, const std::string& text);
void copy_whole(const std::filesystem::path& from, const std::filesystem::path& to);

// Error(usage or bad_file) if a tokenizer does not fit an imported model: it has more pieces than vocab_size, or
// added_tokens.json, tokenizer_config.json or tokenizer.json has tokens that the tokenizer's file does not have.
// Returns the kind of the file.
TokenizerKind check_tokenizer_fits(const std::filesystem::path& file, const std::filesystem::path& directory,
                                   std::int64_t vocab_size);

// A model and where its weights come from. References: for arguments only.
struct WeightedModel {
    const ModelConfig& model;
    const Weights& weights;
};

// Reports the difference between the logits of source and result through options.say. exact: Error(internal) if they
// differ in any bit.
void report_logits(const ConvertOptions& options, const std::string& tokens, const WeightedModel& source,
                   const WeightedModel& result, bool exact);

}  // namespace gpas
