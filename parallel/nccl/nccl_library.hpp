// The NCCL functions that gpas calls. The library is opened at run time, when a job first uses GPUs, so that gpas runs
// on machines without NCCL.
#pragma once

#include <nccl.h>

namespace gpas {

// Function pointers with the names of the NCCL functions.
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

// Error(environment) if the library is missing; the message names the directories searched and what to install.
// Thread-safe.
Nccl load_nccl();

}  // namespace gpas
