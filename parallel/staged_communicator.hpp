// A group whose messages pass through memory of the host: for memory of a GPU where NCCL cannot serve.
#pragma once

#include "kernels/context.hpp"
#include "parallel/communicator.hpp"

namespace gpas {

// Tensors on the context's GPU are copied to pinned memory, handed to `host`, and copied back, in the order of the
// compute stream; the results are those of `host`, to the bit. What lies on the host passes through. The context is kept.
std::unique_ptr<Communicator> make_staged_communicator(std::unique_ptr<Communicator> host, Context& context);

}  // namespace gpas
