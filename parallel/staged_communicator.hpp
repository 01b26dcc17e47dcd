// A group whose messages pass through memory of the host, or of the GPU if MPI takes that: for memory of a GPU if NCCL
// cannot serve.
#pragma once

#include "kernels/context.hpp"
#include "parallel/communicator.hpp"

namespace gpas {

// What sends and receives of memory of the GPU hand to the group beneath: a copy in pinned memory, or the tensor
// itself, when the compute stream is idle (MPI knows no streams). Each rank may choose for itself.
enum class GpuMessages { copied, direct };

// Tensors on the context's GPU are copied to pinned memory, handed to `host`, and copied back, in the order of the
// compute stream; the results are those of `host`, to the bit. What lies on the host passes through. The context is
// kept. Collectives are copied with GpuMessages::direct, too: `host` makes them of nonblocking ones, so that it can
// stop waiting, and Open MPI takes memory of GPUs only in blocking ones (www.open-mpi.org/faq/?category=runcuda).
std::unique_ptr<Communicator> make_staged_communicator(std::unique_ptr<Communicator> host, Context& context,
                                                       GpuMessages messages = GpuMessages::copied);

}  // namespace gpas
