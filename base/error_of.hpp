// Converts exceptions of the C++ library to Error. A shortage of memory becomes Error(environment), never an internal
// error or a damaged file.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <exception>
#include <string>

namespace gpas {

// Returns an Error unchanged. std::bad_alloc and system errors such as ENOMEM, or EAGAIN for a thread that cannot be
// started, become Error(environment). Any other exception becomes Error(internal).
Error error_of(const std::exception& thrown);

// The message "host memory is short (…)", with the limits of this process that may be the cause, and the remedy.
// what: the purpose of the memory; may be empty.
std::string host_memory_short(const std::string& what = {});

// Checks that this number of bytes of address space can be allocated, and releases it again. Error(environment) if not.
// Libraries allocate small amounts during a run (compiled matrix products, thread stacks, MPI and HDF5 buffers), and
// some crash if an allocation fails.
void require_host_headroom(std::int64_t bytes);

}  // namespace gpas
