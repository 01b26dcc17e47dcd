#include "parallel/nccl/nccl_library.hpp"

#include "base/shared_library.hpp"
#include "kernels/cuda/toolkit_directories.hpp"

#include <fmt/format.h>

namespace gpas {

Nccl load_nccl() {
    const SharedLibrary library({.name = "NCCL",
                                 .file = fmt::format("libnccl.so.{}", NCCL_MAJOR),
                                 .directories = cuda::toolkit_directories(),
                                 .purpose = "collectives between GPUs",
                                 .advice = fmt::format("Install NCCL (NVIDIA's package libnccl{}, or nvidia-nccl-cu{} "
                                                       "from PyPI), put its directory into LD_LIBRARY_PATH, or build "
                                                       "gpas with -Dnccl=disabled: groups then use host memory and "
                                                       "MPI, which is slow",
                                                       NCCL_MAJOR, CUDART_VERSION / 1000)});
    Nccl table{};
    library.find(table.ncclAllGather, "ncclAllGather");
    library.find(table.ncclAllReduce, "ncclAllReduce");
    library.find(table.ncclCommAbort, "ncclCommAbort");
    library.find(table.ncclCommDestroy, "ncclCommDestroy");
    library.find(table.ncclCommFinalize, "ncclCommFinalize");
    library.find(table.ncclCommGetAsyncError, "ncclCommGetAsyncError");
    library.find(table.ncclCommInitRankConfig, "ncclCommInitRankConfig");
    library.find(table.ncclGetErrorString, "ncclGetErrorString");
    library.find(table.ncclGetLastError, "ncclGetLastError");
    library.find(table.ncclGetUniqueId, "ncclGetUniqueId");
    library.find(table.ncclGetVersion, "ncclGetVersion");
    library.find(table.ncclGroupEnd, "ncclGroupEnd");
    library.find(table.ncclGroupStart, "ncclGroupStart");
    library.find(table.ncclRecv, "ncclRecv");
    library.find(table.ncclReduceScatter, "ncclReduceScatter");
    library.find(table.ncclSend, "ncclSend");
    return table;
}

}  // namespace gpas
