// The gpas error that an exception of the C++ library or of the system means. A shortage of memory is an error of the
// environment, never a bug and never a damaged file.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <exception>
#include <string>

namespace gpas {

// An Error stays what it is. std::bad_alloc, and system errors such as ENOMEM or a thread that cannot be started, become
// Error(environment); anything else Error(internal).
Error error_of(const std::exception& thrown);

// "host memory is short (…)" with the limits of this process that may be the cause, and what to do about it.
// what: what the memory was for; may be empty.
std::string host_memory_short(const std::string& what = {});

// Takes and returns that much address space. Error(environment) if it cannot be had: what libraries allocate in the middle
// of a run (compiled products, stacks of threads, buffers of MPI and HDF5) is small, but some of them crash without it.
void require_host_headroom(std::int64_t bytes);

}  // namespace gpas
