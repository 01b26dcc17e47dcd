// Figures of GPUs from data sheets: dense rates, without sparsity.
#pragma once

#include <span>
#include <string_view>

namespace gpas {

enum class LinkKind { nvlink3, nvlink4, nvlink5, nvlink_bridge, pcie4, pcie5, infiniband200, infiniband400, host };

struct LinkFigures {
    std::string_view name;
    double gbytes = 0.0;           // GB/s per rank in one direction, as collectives reach it
    double latency_seconds = 0.0;  // per step of a ring (NCCL's src/graph/tuning.cc, Ring, Simple)
    std::string_view source;       // of gbytes
};
LinkFigures figures_of(LinkKind link);

struct DeviceFigures {
    std::string_view name;   // argument of --gpu
    std::string_view words;  // all of them are in the driver's name of the device, in any order
    double memory_gib = 0.0;
    double bf16_tflops = 0.0;    // with fp32 accumulation
    double fp32_tflops = 0.0;    // without TF32, which gpas does not use
    double memory_gbytes = 0.0;  // GB/s of device memory
    int multiprocessors = 0;
    LinkKind link = LinkKind::pcie4;  // to the other GPUs of the node
    int per_node = 8;
    std::string_view source;
};

// All devices. If the words of one entry include those of another, it comes first.
std::span<const DeviceFigures> device_table();

// The entry for a driver's device name ("NVIDIA H100 PCIe"). Null for a device that is not in the table, for a part of
// a GPU (MIG), and for slower variants with a similar name (laptop GPUs, "D", Max-Q).
const DeviceFigures* figures_of(std::string_view device_name);
// The entry with this name ("h100-pcie"); null if the table has no such entry.
const DeviceFigures* figures_named(std::string_view name);

}  // namespace gpas
