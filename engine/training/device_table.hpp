// What plans assume of devices: figures of their makers' data sheets, dense, without sparsity.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace gpas {

struct DeviceFigures {
    std::string_view name;
    double memory_gib = 0.0;
    double bf16_tflops = 0.0;
    double fp32_tflops = 0.0;  // TF32 where the device multiplies in it
    double link_gbytes = 0.0;  // GB/s of a device to others of its node, one direction
    int per_node = 8;
};

inline constexpr std::array<DeviceFigures, 8> device_table{{
    {"a100", 80, 312, 156, 300, 8},
    {"a100-40", 40, 312, 156, 300, 8},
    {"h100", 80, 989, 494, 450, 8},
    {"h200", 141, 989, 494, 450, 8},
    {"b200", 180, 2250, 1125, 900, 8},
    {"l40s", 48, 362, 183, 32, 8},
    {"rtx4090", 24, 165, 83, 32, 8},
    {"rtx3090", 24, 71, 36, 32, 8},
}};

// Between nodes, of one device: 400 Gbit/s.
inline constexpr double network_gbytes = 50.0;

}  // namespace gpas
