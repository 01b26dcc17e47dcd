// What to do about a dataset whose files are missing.
#pragma once

#include <string>

namespace gpas {

// Returns if both <prefix>.idx and <prefix>.bin exist. Fails with ExitCode::bad_file, in one line with what is missing
// and what was probably meant: another prefix beside it, or text that `gpas prepare` has to turn into token files.
void check_dataset_exists(const std::string& prefix);

}  // namespace gpas
