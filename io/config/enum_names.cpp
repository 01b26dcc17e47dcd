#include "io/config/enum_names.hpp"

namespace gpas {
namespace {

constexpr EnumName<Architecture> architectures[] = {
    {Architecture::post, "post"},
    {Architecture::deeppost, "deeppost"},
    {Architecture::pre, "pre"},
    {Architecture::sandwich, "sandwich"},
    {Architecture::post_pre, "post_pre"},
    {Architecture::lns, "lns"},
    {Architecture::pre_gpas, "pre_gpas"},
    {Architecture::lns_gpas, "lns_gpas"},
    {Architecture::sandwich_gpas, "sandwich_gpas"},
    {Architecture::deeppost_gpas, "deeppost_gpas"},
    {Architecture::post_pre_gpas, "post_pre_gpas"},
    {Architecture::post_gpas, "post_gpas"},
    {Architecture::reordered, "reordered"},
    {Architecture::reordered_gpas, "reordered_gpas"},
};
constexpr EnumName<LnsMode> lns_modes[] = {{LnsMode::init, "init"}, {LnsMode::output, "output"}};
constexpr EnumName<QkNormKind> qk_norm_kinds[] = {
    {QkNormKind::none, "none"}, {QkNormKind::head, "head"}, {QkNormKind::projection, "projection"}};
constexpr EnumName<EmbeddingInit> embedding_inits[] = {{EmbeddingInit::scaled, "scaled"},
                                                       {EmbeddingInit::normal, "normal"}};
constexpr EnumName<OutputInit> output_inits[] = {{OutputInit::normal, "normal"}, {OutputInit::scaled, "scaled"}};
constexpr EnumName<GateFunction> gate_functions[] = {
    {GateFunction::silu, "silu"},
    {GateFunction::identity, "identity"},
    {GateFunction::relu, "relu"},
    {GateFunction::tanh, "tanh"},
    {GateFunction::leaky_relu, "leaky_relu"},
    {GateFunction::scaled_silu, "scaled_silu"},
    {GateFunction::scale_silu, "scale_silu"},
};
constexpr EnumName<SampleMode> sample_modes[] = {{SampleMode::packed, "packed"}, {SampleMode::padded, "padded"}};
constexpr EnumName<TruncatedEnd> truncated_ends[] = {
    {TruncatedEnd::automatic, "auto"}, {TruncatedEnd::eos, "eos"}, {TruncatedEnd::text, "text"}};
constexpr EnumName<LossMean> loss_means[] = {{LossMean::tokens, "tokens"}, {LossMean::micro_batches, "micro_batches"}};
constexpr EnumName<TrainingConfig::OnBadNumbers> on_bad_numbers[] = {
    {TrainingConfig::OnBadNumbers::stop, "stop"},
    {TrainingConfig::OnBadNumbers::skip, "skip"},
    {TrainingConfig::OnBadNumbers::roll_back, "roll_back"}};
constexpr EnumName<GuardConfig::OnSpike> on_spike[] = {{GuardConfig::OnSpike::warn, "warn"},
                                                       {GuardConfig::OnSpike::skip, "skip"},
                                                       {GuardConfig::OnSpike::roll_back, "roll_back"},
                                                       {GuardConfig::OnSpike::stop, "stop"}};
constexpr EnumName<GuardConfig::OnDifferentWeights> on_different_weights[] = {
    {GuardConfig::OnDifferentWeights::stop, "stop"}, {GuardConfig::OnDifferentWeights::roll_back, "roll_back"}};
constexpr EnumName<ScheduleKind> schedule_kinds[] = {
    {ScheduleKind::constant, "constant"},         {ScheduleKind::linear, "linear"}, {ScheduleKind::cosine, "cosine"},
    {ScheduleKind::inverse_sqrt, "inverse_sqrt"}, {ScheduleKind::wsd, "wsd"},
};
constexpr EnumName<DecayShape> decay_shapes[] = {
    {DecayShape::linear, "linear"},
    {DecayShape::cosine, "cosine"},
    {DecayShape::exponential, "exponential"},
    {DecayShape::minus_sqrt, "minus_sqrt"},
};
constexpr EnumName<MeshOrder> mesh_orders[] = {{MeshOrder::tensor_data_pipeline, "tensor_data_pipeline"},
                                               {MeshOrder::tensor_pipeline_data, "tensor_pipeline_data"}};
constexpr EnumName<PipelineSchedule> pipeline_schedules[] = {{PipelineSchedule::gpipe, "gpipe"},
                                                             {PipelineSchedule::one_f_one_b, "1f1b"},
                                                             {PipelineSchedule::interleaved, "interleaved"},
                                                             {PipelineSchedule::zb_h1, "zb_h1"}};
constexpr EnumName<Recompute> recomputes[] = {
    {Recompute::none, "none"}, {Recompute::selective, "selective"}, {Recompute::full, "full"}};
constexpr EnumName<ShareGpu> gpu_shares[] = {{ShareGpu::staged, "staged"}, {ShareGpu::nccl, "nccl"}};
constexpr EnumName<ComputeDtype> compute_dtypes[] = {{ComputeDtype::fp32, "fp32"}, {ComputeDtype::bf16, "bf16"}};
// `auto` is a keyword of C++, so this one enumerator has another spelling in YAML.
constexpr EnumName<DeviceKind> device_kinds[] = {
    {DeviceKind::automatic, "auto"}, {DeviceKind::cpu, "cpu"}, {DeviceKind::cuda, "cuda"}};

}  // namespace

template <>
std::span<const EnumName<Architecture>> enum_names<Architecture>() {
    return architectures;
}
template <>
std::span<const EnumName<LnsMode>> enum_names<LnsMode>() {
    return lns_modes;
}
template <>
std::span<const EnumName<QkNormKind>> enum_names<QkNormKind>() {
    return qk_norm_kinds;
}
template <>
std::span<const EnumName<EmbeddingInit>> enum_names<EmbeddingInit>() {
    return embedding_inits;
}
template <>
std::span<const EnumName<OutputInit>> enum_names<OutputInit>() {
    return output_inits;
}
template <>
std::span<const EnumName<GateFunction>> enum_names<GateFunction>() {
    return gate_functions;
}
template <>
std::span<const EnumName<SampleMode>> enum_names<SampleMode>() {
    return sample_modes;
}
template <>
std::span<const EnumName<TruncatedEnd>> enum_names<TruncatedEnd>() {
    return truncated_ends;
}
template <>
std::span<const EnumName<LossMean>> enum_names<LossMean>() {
    return loss_means;
}
template <>
std::span<const EnumName<TrainingConfig::OnBadNumbers>> enum_names<TrainingConfig::OnBadNumbers>() {
    return on_bad_numbers;
}
template <>
std::span<const EnumName<GuardConfig::OnSpike>> enum_names<GuardConfig::OnSpike>() {
    return on_spike;
}
template <>
std::span<const EnumName<GuardConfig::OnDifferentWeights>> enum_names<GuardConfig::OnDifferentWeights>() {
    return on_different_weights;
}
template <>
std::span<const EnumName<ScheduleKind>> enum_names<ScheduleKind>() {
    return schedule_kinds;
}
template <>
std::span<const EnumName<DecayShape>> enum_names<DecayShape>() {
    return decay_shapes;
}
template <>
std::span<const EnumName<MeshOrder>> enum_names<MeshOrder>() {
    return mesh_orders;
}
template <>
std::span<const EnumName<PipelineSchedule>> enum_names<PipelineSchedule>() {
    return pipeline_schedules;
}
template <>
std::span<const EnumName<Recompute>> enum_names<Recompute>() {
    return recomputes;
}
template <>
std::span<const EnumName<ComputeDtype>> enum_names<ComputeDtype>() {
    return compute_dtypes;
}
template <>
std::span<const EnumName<ShareGpu>> enum_names<ShareGpu>() {
    return gpu_shares;
}
template <>
std::span<const EnumName<DeviceKind>> enum_names<DeviceKind>() {
    return device_kinds;
}

}  // namespace gpas
