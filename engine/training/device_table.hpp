// What plans assume of devices: dense figures of their makers' data sheets, without sparsity.
#pragma once

#include <array>
#include <string_view>

namespace gpas {

struct DeviceFigures {
    std::string_view name;
    double memory_gib = 0.0;  // what the driver leaves to a program, a little less than the name says
    double bf16_tflops = 0.0;
    double fp32_tflops = 0.0;  // TF32, where the device multiplies in it
    double link_gbytes = 0.0;  // GB/s of a device to others of its node, one way: NVLink, else PCIe 4.0 x16
    int per_node = 8;
};

inline constexpr std::array<DeviceFigures, 8> device_table{{
    {"a100-40", 39, 312, 156, 300},
    {"a100-80", 79, 312, 156, 300},
    {"h100", 79, 989, 494, 450},
    {"h200", 139, 989, 494, 450},
    {"b200", 178, 2250, 1125, 900},
    {"l40s", 44, 362, 183, 32},
    {"rtx4090", 23.5, 165, 82, 32},
    {"rtx3090", 23.5, 71, 35, 32},
}};

// Where none is named.
inline constexpr DeviceFigures generic_device{"a generic device", 0.0, 100, 50, 100};

// Between nodes, of one device: 400 Gbit/s.
inline constexpr double network_gbytes = 50.0;

// Of a device's peak, by the matrix products of a step.
inline constexpr double reached_share = 0.5;

}  // namespace gpas
