// The spelling of every enumeration of the configuration: in YAML, in messages, in logs and in checkpoints.
#pragma once

#include "io/config/run_config.hpp"

#include <span>
#include <string_view>

namespace gpas {

template <class E>
struct EnumName {
    E value;
    std::string_view name;
};

// In the order of declaration; specialised for every enumeration of run_config.hpp and for GateFunction.
template <class E>
std::span<const EnumName<E>> enum_names();

template <class E>
std::string_view name_of(E value) {
    for (const EnumName<E>& entry : enum_names<E>()) {
        if (entry.value == value) return entry.name;
    }
    return "?";
}

template <>
std::span<const EnumName<Architecture>> enum_names<Architecture>();
template <>
std::span<const EnumName<LnsMode>> enum_names<LnsMode>();
template <>
std::span<const EnumName<EmbeddingInit>> enum_names<EmbeddingInit>();
template <>
std::span<const EnumName<OutputInit>> enum_names<OutputInit>();
template <>
std::span<const EnumName<GateFunction>> enum_names<GateFunction>();
template <>
std::span<const EnumName<SampleMode>> enum_names<SampleMode>();
template <>
std::span<const EnumName<TruncatedEnd>> enum_names<TruncatedEnd>();
template <>
std::span<const EnumName<LossMean>> enum_names<LossMean>();
template <>
std::span<const EnumName<TrainingConfig::OnBadNumbers>> enum_names<TrainingConfig::OnBadNumbers>();
template <>
std::span<const EnumName<GuardConfig::OnSpike>> enum_names<GuardConfig::OnSpike>();
template <>
std::span<const EnumName<GuardConfig::OnDifferentWeights>> enum_names<GuardConfig::OnDifferentWeights>();
template <>
std::span<const EnumName<ScheduleKind>> enum_names<ScheduleKind>();
template <>
std::span<const EnumName<DecayShape>> enum_names<DecayShape>();
template <>
std::span<const EnumName<MeshOrder>> enum_names<MeshOrder>();
template <>
std::span<const EnumName<PipelineSchedule>> enum_names<PipelineSchedule>();
template <>
std::span<const EnumName<Recompute>> enum_names<Recompute>();
template <>
std::span<const EnumName<ComputeDtype>> enum_names<ComputeDtype>();
template <>
std::span<const EnumName<DeviceKind>> enum_names<DeviceKind>();
template <>
std::span<const EnumName<ShareGpu>> enum_names<ShareGpu>();

}  // namespace gpas
