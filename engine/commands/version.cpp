#include "engine/commands/version.hpp"

#include "engine/commands/commit.hpp"
#include "engine/preflight/machine.hpp"

#include <fmt/format.h>
#include <hdf5.h>

namespace gpas {
namespace {

#ifdef __clang__
constexpr const char* compiler = "clang++ " __clang_version__;
#else
constexpr const char* compiler = "g++ " __VERSION__;
#endif

#ifdef H5_HAVE_PARALLEL
constexpr const char* hdf5_kind = "parallel";
#else
constexpr const char* hdf5_kind = "serial";
#endif

// GPAS_CUDART_VERSION: 1000 times the major version plus 10 times the minor version; 0: a build without CUDA.
std::string cuda_text() {
    constexpr int version = GPAS_CUDART_VERSION;
    return version == 0 ? "none: built without CUDA" : fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

}  // namespace

std::string version_text() {
    return fmt::format("gpas {} (commit {})\ncompiler  {}\nCUDA      {}\nMPI       {}\nHDF5      {}.{}.{} ({})",
                       GPAS_VERSION, gpas_commit, compiler, cuda_text(), preflight::mpi_version(), H5_VERS_MAJOR,
                       H5_VERS_MINOR, H5_VERS_RELEASE, hdf5_kind);
}

}  // namespace gpas
