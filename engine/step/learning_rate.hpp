// The learning rate schedule.
#pragma once

#include "base/step_number.hpp"
#include "io/config/run_config.hpp"

#include <cstdint>

namespace gpas {

// The learning rate of step number `step` = 1, 2, … of a run of `steps` steps (skipped steps count): Megatron-LM's formulas, with W
// warm-up steps and then a decay, at step k = step - 1 + first_step of the schedule. With first_step 1 (the default)
// and initial_ratio 0 the first update has the rate peak/W, the W-th update the peak, the last update the floor. With
// first_step 0, as in PyTorch's schedulers and the GPAS paper's code, the first update has the rate
// initial_ratio · peak.
//   k <= W:       peak · (initial_ratio + (1 - initial_ratio) k/W)
//   k > W, with r = (k - W)/(K - W), K = decay_steps or steps, floor = min_ratio · peak:
//   constant      peak
//   linear        floor + (peak - floor)(1 - r)                              k > K: floor
//   cosine        floor + (peak - floor)(1 + cos πr)/2                       k > K: floor
//   inverse_sqrt  max(floor, peak √W/√k)
//   wsd           peak until steps - decay_steps, then floor + (peak - floor) f(q) with q from 0 to 1:
//                 f = 1-q (linear), (1+cos πq)/2 (cosine), 2·0.5^q - 1 (exponential) or 1-√q (minus_sqrt)
double learning_rate(const ScheduleConfig& schedule, double peak, std::int64_t steps, StepNumber step);

}  // namespace gpas
