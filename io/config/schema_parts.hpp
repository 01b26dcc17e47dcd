// The parts of the schema, and what they have in common; used by schema.cpp and schema_*.cpp only.
#pragma once

#include "io/config/schema_builder.hpp"

#include <limits>

namespace gpas::schema_parts {

using enum KeyRole;

// Upper limits only catch typing errors and keep products of sizes within 64 bits.
inline constexpr ValueRange any_size{1, 1 << 20};
inline constexpr ValueRange step_count{0, 1e9};
inline constexpr ValueRange one_or_more_steps{1, 1e9};
inline constexpr ValueRange not_negative{0, std::numeric_limits<double>::infinity()};
inline constexpr ValueRange zero_to_one{0, 1};
inline constexpr ValueRange below_one{0, 1, false, true};
// The smallest normal fp32 number is 1.18e-38: below it, digits are lost, and below 7e-46 the number becomes 0.
inline constexpr double smallest_fp32 = 1.2e-38;

// Each function declares one section (metrics: with its subsection) and appends its keys.
void declare_run(SchemaBuilder& schema);  // the top level
void declare_model(SchemaBuilder& schema);
void declare_rope_scaling(SchemaBuilder& schema);
void declare_gate(SchemaBuilder& schema);
void declare_data(SchemaBuilder& schema);
void declare_training(SchemaBuilder& schema);
void declare_optimizer(SchemaBuilder& schema);
void declare_schedule(SchemaBuilder& schema);
void declare_parallel(SchemaBuilder& schema);
void declare_compute(SchemaBuilder& schema);
void declare_watch(SchemaBuilder& schema);
void declare_guard(SchemaBuilder& schema);
void declare_evaluation(SchemaBuilder& schema);
void declare_checkpoint(SchemaBuilder& schema);
void declare_metrics(SchemaBuilder& schema);

}  // namespace gpas::schema_parts
