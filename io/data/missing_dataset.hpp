// Advice about a dataset whose files are missing.
#pragma once

#include <string>

namespace gpas {

// Error(bad_file) unless both <prefix>.idx and <prefix>.bin exist. The message, one line, names the missing file and
// what was probably meant: another prefix in the same directory, or text that `gpas prepare` has to turn into token
// files.
void check_dataset_exists(const std::string& prefix);

}  // namespace gpas
