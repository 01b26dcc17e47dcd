#include "engine/plan/device_table.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <vector>

namespace gpas {
namespace {

constexpr std::string_view ampere = "NVIDIA A100 data sheet, 2021";
constexpr std::string_view hopper = "NVIDIA H100 data sheet, 2024, sparse / 2";
constexpr std::string_view h200 = "NVIDIA H200 data sheet, 2024, sparse / 2";
constexpr std::string_view grace_hopper = "NVIDIA GH200 data sheet, 2024, sparse / 2";
constexpr std::string_view blackwell = "verda.com/blog/gb300-nvl72-architecture and NVIDIA HGX, 2025, sparse / 2";
constexpr std::string_view rtx_pro = "hmc-tech.com after NVIDIA's data sheet, 2025; bf16 4 x fp32";
constexpr std::string_view geforce = "NVIDIA architecture papers of 2020, 2022 and 2025; bf16 with sums in fp32";

constexpr std::array<DeviceFigures, 20> table{{
    {"a100-40", "a100 40gb", 40, 312, 19.5, 1555, 108, LinkKind::nvlink3, 8, ampere},
    {"a100", "a100", 80, 312, 19.5, 2039, 108, LinkKind::nvlink3, 8, ampere},
    {"h100-pcie", "h100 pcie", 80, 756, 51, 2000, 114, LinkKind::pcie5, 8, "NVIDIA H100 PCIe product brief, 2022-11"},
    {"h100-nvl", "h100 nvl", 94, 835, 60, 3900, 132, LinkKind::nvlink_bridge, 8, hopper},
    {"h100", "h100 hbm3", 80, 989, 67, 3350, 132, LinkKind::nvlink4, 8, hopper},
    {"h200-nvl", "h200 nvl", 141, 835, 60, 4800, 132, LinkKind::nvlink_bridge, 8, h200},
    {"h200", "h200", 141, 989, 67, 4800, 132, LinkKind::nvlink4, 8, h200},
    {"gh200-144", "gh200 144g", 144, 989, 67, 4900, 132, LinkKind::nvlink4, 4, grace_hopper},
    {"gh200", "gh200", 96, 989, 67, 4000, 132, LinkKind::nvlink4, 4, grace_hopper},
    {"gb300", "gb300", 279, 2500, 80, 8000, 152, LinkKind::nvlink5, 4, blackwell},
    {"gb200", "gb200", 186, 2500, 80, 8000, 152, LinkKind::nvlink5, 4, blackwell},
    {"b300", "b300", 270, 2250, 75, 8000, 148, LinkKind::nvlink5, 8, blackwell},
    {"b200", "b200", 180, 2250, 75, 7700, 148, LinkKind::nvlink5, 8, blackwell},
    {"l40s", "l40s", 48, 362, 91.6, 864, 142, LinkKind::pcie4, 8, "NVIDIA L40S data sheet, 2023"},
    {"rtxpro6000-server", "rtx pro 6000 server", 96, 480, 120, 1597, 188, LinkKind::pcie5, 8, rtx_pro},
    {"rtxpro6000-max-q", "rtx pro 6000 max q", 96, 440, 110, 1792, 188, LinkKind::pcie5, 4, rtx_pro},
    {"rtxpro6000", "rtx pro 6000 blackwell", 96, 504, 126, 1792, 188, LinkKind::pcie5, 4, rtx_pro},
    {"rtx5090", "rtx 5090", 32, 210, 105, 1792, 170, LinkKind::pcie5, 8, geforce},
    {"rtx4090", "rtx 4090", 24, 165, 83, 1008, 128, LinkKind::pcie4, 8, geforce},
    {"rtx3090", "rtx 3090", 24, 71, 36, 936, 82, LinkKind::pcie4, 8, geforce},
}};

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words(1);
    for (const char c : text) {
        if (c == ' ' || c == '-')
            words.emplace_back();
        else
            words.back() += char(std::tolower(static_cast<unsigned char>(c)));
    }
    return words;
}

bool has(const std::vector<std::string>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

std::span<const DeviceFigures> device_table() { return table; }

// Rates that NCCL's rings reach per GPU in one direction, not those of data sheets.
LinkFigures figures_of(LinkKind link) {
    switch (link) {
        case LinkKind::nvlink3:
            return {"NVLink 3", 230, 3.4e-6, "NCCL src/graph/tuning.cc: at most 235; nccl-tests issue 178"};
        case LinkKind::nvlink4:
            return {"NVLink 4", 360, 3.4e-6, "NCCL issue 864: 350; tree and NVLS 475 (nccl-tests 272)"};
        case LinkKind::nvlink5:
            return {"NVLink 5", 680, 3.4e-6, "a guess: the share of 900 that NVLink 4 reaches of 450"};
        case LinkKind::nvlink_bridge: return {"NVLink bridge", 116, 3.4e-6, "NCCL issue 1161, two H100 PCIe, 2024-01"};
        case LinkKind::pcie4: return {"PCIe 4", 20, 5.7e-6, "a guess: of 31.5, what PCIe 5 reaches of 63"};
        case LinkKind::pcie5: return {"PCIe 5", 40, 5.7e-6, "docs.alayanew.com, 8 x H100 PCIe: 35-45, 2026-05"};
        case LinkKind::infiniband200: return {"InfiniBand 200 Gb/s per GPU", 23.5, 9.6e-6, "half of 400 Gb/s"};
        case LinkKind::infiniband400:
            return {"InfiniBand 400 Gb/s per GPU", 47, 9.6e-6, "nccl-tests issue 290: 46-48, 2025-03"};
        case LinkKind::host: break;
    }
    return {"memory of one machine, by MPI", 1.5, 20e-6, "fitted: docs/results/plan.md"};
}

const DeviceFigures* figures_of(std::string_view device_name) {
    const std::vector<std::string> words = words_of(device_name);
    for (const DeviceFigures& figures : table) {
        const std::vector<std::string> wanted = words_of(figures.words);
        const auto is_there = [&](const std::string& word) { return has(words, word); };
        if (!std::all_of(wanted.begin(), wanted.end(), is_there)) continue;
        for (const char* other : {"mig", "laptop", "d", "q", "super", "ti"})
            if (has(words, other) && !has(wanted, other)) return nullptr;
        return &figures;
    }
    return nullptr;
}

const DeviceFigures* figures_named(std::string_view name) {
    const auto found =
        std::find_if(table.begin(), table.end(), [&](const DeviceFigures& figures) { return figures.name == name; });
    return found == table.end() ? nullptr : &*found;
}

}  // namespace gpas
