// Names of this program's functions, the static ones too, from the symbol table of its file.
#pragma once

#include <string>

namespace gpas::virtual_gpu {

// Without namespaces and parameters; the address if the table has no name for it. Thread-safe.
std::string symbol_of(const void* function);

}  // namespace gpas::virtual_gpu
