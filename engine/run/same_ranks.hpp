// Checks that all ranks of a job were started with the same program, configuration and data. A rank with another seed,
// batch or token file would silently train something else, or hang in a collective of another size.
#pragma once

#include "io/config/load.hpp"
#include "parallel/communicator.hpp"

#include <functional>
#include <string>

namespace gpas {

// Returns the configuration of `load` after checking that these are equal on all ranks: the configuration, the program,
// the MPI library, and the environment variables that select numerical code (ONEDNN_*, CUBLAS_*, …). AgreedError on
// every rank: `usage` names the ranks, the keys and both values; `environment` names the ranks and the difference.
// Collective; call it before any other collective.
LoadedConfig load_on_all_ranks(Communicator& world, const std::function<LoadedConfig()>& load);

// AgreedError(bad_file) if the contents of the token files or of the tokenizer differ between ranks. Collective.
void check_same_data(Communicator& world, const std::string& dataset_fingerprint,
                     const std::string& tokenizer_fingerprint);

}  // namespace gpas
