// Upper bounds of the scratch memory that CPU operations take from Context::scratch(), in bytes.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cpu {

std::int64_t attention_scratch_bytes(AttentionShape shape, int threads);  // 0 if shape.heads == 0
std::int64_t flat_scratch_bytes();                                        // of the operations in flat.cpp

}  // namespace gpas::cpu
