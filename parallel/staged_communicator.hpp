// A group for GPU tensors without NCCL (for example several ranks per GPU). It copies tensors to host memory, lets an
// MPI group communicate, and copies the results back. If MPI is CUDA-aware, sends and receives can skip the copies.
#pragma once

#include "kernels/context.hpp"
#include "parallel/communicator.hpp"

namespace gpas {

// What sends and receives of GPU tensors pass to the host group. copied: a copy in pinned memory. direct: the GPU
// pointer, after the compute stream has been synchronized, because MPI does not know CUDA streams. Ranks may choose
// differently.
enum class GpuMessages { copied, direct };

// Tensors on the context's GPU are copied to pinned memory, passed to `host`, and copied back, in the order of the
// compute stream. Results are bitwise those of `host`. Host tensors are passed to `host` directly. Shares ownership of
// the context's GPU. Collectives are copied also with GpuMessages::direct: `host` uses non-blocking collectives, so
// that it can time out, and Open MPI accepts GPU pointers only in blocking ones
// (www.open-mpi.org/faq/?category=runcuda).
std::unique_ptr<Communicator> make_staged_communicator(std::unique_ptr<Communicator> host, Context& context,
                                                       GpuMessages messages = GpuMessages::copied);

}  // namespace gpas
