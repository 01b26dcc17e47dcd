// The tokenizer that a run's data were prepared with.
#pragma once

#include "io/config/run_config.hpp"
#include "io/data/tokenizer.hpp"

#include <memory>
#include <string>

namespace gpas {

// The tokenizer of training. Error(usage) if data.tokenizer is not set or has more pieces than the vocabulary of the
// model. needed_by: what needs it, for the message, such as "`gpas generate`".
std::unique_ptr<Tokenizer> open_run_tokenizer(const RunConfig& config, const std::string& needed_by);

}  // namespace gpas
