// The functions of NCCL that gpas calls, from the library that is opened when groups first use GPUs.
#pragma once

#include <nccl.h>

namespace gpas {

// Pointers to NCCL's functions, under their own names.
struct Nccl {
    decltype(&::ncclAllGather) ncclAllGather;
    decltype(&::ncclAllReduce) ncclAllReduce;
    decltype(&::ncclCommAbort) ncclCommAbort;
    decltype(&::ncclCommDestroy) ncclCommDestroy;
    decltype(&::ncclCommFinalize) ncclCommFinalize;
    decltype(&::ncclCommGetAsyncError) ncclCommGetAsyncError;
    decltype(&::ncclCommInitRankConfig) ncclCommInitRankConfig;
    decltype(&::ncclGetErrorString) ncclGetErrorString;
    decltype(&::ncclGetLastError) ncclGetLastError;
    decltype(&::ncclGetUniqueId) ncclGetUniqueId;
    decltype(&::ncclGetVersion) ncclGetVersion;
    decltype(&::ncclGroupEnd) ncclGroupEnd;
    decltype(&::ncclGroupStart) ncclGroupStart;
    decltype(&::ncclRecv) ncclRecv;
    decltype(&::ncclReduceScatter) ncclReduceScatter;
    decltype(&::ncclSend) ncclSend;
};

// Error(environment) if NCCL is not there: says where it was looked for and what to install. Thread-safe.
Nccl load_nccl();

}  // namespace gpas
