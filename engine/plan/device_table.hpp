// Figures of GPUs from their makers' data sheets: dense rates, without sparsity.
#pragma once

#include <span>
#include <string_view>

namespace gpas {

enum class LinkKind { nvlink3, nvlink4, nvlink5, nvlink_bridge, pcie4, pcie5, infiniband200, infiniband400, host };

struct LinkFigures {
    std::string_view name;
    double gbytes = 0.0;           // GB/s of a rank, one direction, as collectives reach it
    double latency_seconds = 0.0;  // of a step of a ring (NCCL's src/graph/tuning.cc, Ring, Simple)
    std::string_view source;       // of gbytes
};
LinkFigures figures_of(LinkKind link);

struct DeviceFigures {
    std::string_view name;   // for --gpu
    std::string_view words;  // that the driver's name of the device has, in any order
    double memory_gib = 0.0;
    double bf16_tflops = 0.0;    // sums in fp32
    double fp32_tflops = 0.0;    // without TF32: gpas' fp32 is fp32
    double memory_gbytes = 0.0;  // GB/s of its memory
    int multiprocessors = 0;
    LinkKind link = LinkKind::pcie4;  // to others of its node
    int per_node = 8;
    std::string_view source;
};

// More specific names first.
std::span<const DeviceFigures> device_table();

// By the driver's name ("NVIDIA H100 PCIe"); null for a device that the table does not have, for a part of a GPU (MIG)
// and for what is sold under the name of another (laptops, "D", Max-Q).
const DeviceFigures* figures_of(std::string_view device_name);
// By the table's name ("h100-pcie").
const DeviceFigures* figures_named(std::string_view name);

}  // namespace gpas
