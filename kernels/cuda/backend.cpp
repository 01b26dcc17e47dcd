#include "kernels/backend.hpp"

namespace gpas::cuda {

const Backend& backend() {
    static constexpr Backend functions{
#define OPERATION(name) .name = name,
#include "kernels/backend_ops.inl"
#undef OPERATION
    };
    return functions;
}

}  // namespace gpas::cuda
