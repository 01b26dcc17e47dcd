// That all ranks of a job were started alike. A rank with another seed, batch or token file would train something else
// without an error, or wait indefinitely in a collective whose size it does not share.
#pragma once

#include "io/config/load.hpp"
#include "parallel/communicator.hpp"

#include <functional>
#include <string>

namespace gpas {

// The configuration that `load` returns, once it is known to be the same on every rank, as are the program, the MPI
// library and the environment variables that choose numerical code. AgreedError on every rank: usage names the ranks,
// the keys and both values; environment names the ranks and what differs. Collective, to be called before anything else
// is.
LoadedConfig load_on_all_ranks(Communicator& world, const std::function<LoadedConfig()>& load);

// Refuses ranks that read other token files or another tokenizer: AgreedError(bad_file). Collective.
void check_same_data(Communicator& world, const std::string& dataset_fingerprint,
                     const std::string& tokenizer_fingerprint);

}  // namespace gpas
