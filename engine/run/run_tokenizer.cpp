#include "engine/run/run_tokenizer.hpp"

#include "base/error.hpp"

namespace gpas {

std::unique_ptr<Tokenizer> open_run_tokenizer(const RunConfig& config, const std::string& needed_by) {
    const std::string& file = config.data.tokenizer;
    if (file.empty())
        fail(ExitCode::usage, "data.tokenizer is not set: {} needs the tokenizer of the training data", needed_by);
    std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(file);
    if (tokenizer->vocab_size() > config.model.vocab_size)
        fail(ExitCode::usage,
             "{} has {} pieces, but model.vocab_size is {}; use the tokenizer that the data was prepared with", file,
             tokenizer->vocab_size(), config.model.vocab_size);
    return tokenizer;
}

}  // namespace gpas
