// The learning rate of an update.
#pragma once

#include "io/config/run_config.hpp"

#include <cstdint>

namespace gpas {

// Of update number `update` = 1, 2, … of a run of `steps` updates. Megatron's formulas (SPECS 2.10: warm-up, then the
// decay over what follows it) at step k = update - 1 + first_step of the schedule. With first_step 1, which is the
// default, the first update has peak/W, the W-th the peak, the last one the floor. With 0, as in PyTorch's schedulers
// and the paper's code, the first update has the rate initial_ratio · peak.
//   k <= W:       peak · (initial_ratio + (1 - initial_ratio) k/W)
//   after that, with r = (k - W)/(K - W), K = decay_steps or steps, floor = min_ratio · peak:
//   constant      peak
//   linear        floor + (peak - floor)(1 - r)                              k > K: floor
//   cosine        floor + (peak - floor)(1 + cos πr)/2                       k > K: floor
//   inverse_sqrt  max(floor, peak √W/√k)
//   wsd           peak until steps - decay_steps, then with q from 0 to 1: linear 1-q, cosine (1+cos πq)/2,
//                 exponential 2·0.5^q - 1, minus_sqrt 1-√q between floor and peak
double learning_rate(const ScheduleConfig& schedule, double peak, std::int64_t steps, std::int64_t update);

}  // namespace gpas
