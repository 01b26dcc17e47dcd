// The functions of CUDA's runtime that the NCCL communicator calls, for the emulated GPU: everything that is enqueued
// there is done when its call returns, so that events have nothing to wait for. Streams and events are allocated, so
// that AddressSanitizer sees a use after the end.
#include <cuda_runtime_api.h>

#include <cstdlib>

namespace {

template <class Handle>
cudaError_t make(Handle* handle) {
    *handle = static_cast<Handle>(std::calloc(1, 1));
    return cudaSuccess;
}

template <class Handle>
cudaError_t destroy(Handle handle) {
    std::free(handle);
    return cudaSuccess;
}

}  // namespace

extern "C" {
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return make(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return destroy(event); }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return make(stream); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return destroy(stream); }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "an error of the emulated runtime"; }
}
