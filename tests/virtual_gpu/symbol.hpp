// The names of this program's functions, including static ones, from the symbol table of its file.
#pragma once

#include <string>

namespace gpas::virtual_gpu {

// The function's name without namespaces and parameters, or its address if the table has no name for it. Thread-safe.
std::string symbol_of(const void* function);

}  // namespace gpas::virtual_gpu
