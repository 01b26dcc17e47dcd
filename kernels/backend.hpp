// The two backends. Each implements every operation of kernels/backend_ops.inl, with the signature that kernels/ops.hpp
// declares and without its checks: the operation checks the shapes, then calls the backend of the context's device.
#pragma once

#include "kernels/ops.hpp"
#include "kernels/qk_norm.hpp"

namespace gpas {

// A backend as one function pointer per operation.
struct Backend {
#define OPERATION(name) decltype(&gpas::name) name;
#include "kernels/backend_ops.inl"
#undef OPERATION
};

namespace cpu {
#define OPERATION(name) decltype(gpas::name) name;
#include "kernels/backend_ops.inl"
#undef OPERATION
// The host computes the results of these two operations for every device, so that all devices get the same bits.
decltype(gpas::rope_table) rope_table;
decltype(gpas::fill_normal) fill_normal;

const Backend& backend();
}  // namespace cpu

namespace cuda {
#define OPERATION(name) decltype(gpas::name) name;
#include "kernels/backend_ops.inl"
#undef OPERATION

const Backend& backend();  // Error(environment) in a build without CUDA
}  // namespace cuda

// Of the context's device.
inline const Backend& backend_of(const Context& context) { return context.on_cpu() ? cpu::backend() : cuda::backend(); }

}  // namespace gpas
