#include "engine/step/learning_rate.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gpas {
namespace {

// The decay f(q) of the wsd schedule: f(0) = 1, f(1) = 0.
double wsd_shape(DecayShape shape, double q) {
    switch (shape) {
        case DecayShape::linear: return 1.0 - q;
        case DecayShape::cosine: return 0.5 * (1.0 + std::cos(std::numbers::pi * q));
        case DecayShape::exponential: return 2.0 * std::pow(0.5, q) - 1.0;
        case DecayShape::minus_sqrt: return 1.0 - std::sqrt(q);
    }
    return 0.0;
}

// (k - begin) / (end - begin), limited to [0, 1].
double progress(std::int64_t k, std::int64_t begin, std::int64_t end) {
    if (end <= begin) return 1.0;
    return std::clamp(double(k - begin) / double(end - begin), 0.0, 1.0);
}

}  // namespace

double learning_rate(const ScheduleConfig& schedule, double peak, std::int64_t steps, StepNumber step) {
    const std::int64_t k = step.from_1 - 1 + schedule.first_step;
    const std::int64_t warmup = schedule.warmup_steps;
    if (warmup > 0 && k <= warmup) {
        const double share = double(k) / double(warmup);
        return peak * (schedule.initial_ratio + (1.0 - schedule.initial_ratio) * share);
    }
    const double floor = schedule.min_ratio * peak;
    const std::int64_t end = schedule.decay_steps > 0 ? schedule.decay_steps : steps;
    const double r = progress(k, warmup, end);
    switch (schedule.kind) {
        case ScheduleKind::constant: return peak;
        case ScheduleKind::linear: return floor + (peak - floor) * (1.0 - r);
        case ScheduleKind::cosine: return floor + (peak - floor) * 0.5 * (1.0 + std::cos(std::numbers::pi * r));
        case ScheduleKind::inverse_sqrt:
            return std::max(floor, peak * std::sqrt(double(std::max<std::int64_t>(warmup, 1)) /
                                                    double(std::max<std::int64_t>(k, 1))));
        case ScheduleKind::wsd:
            return floor +
                   (peak - floor) * wsd_shape(schedule.wsd_decay, progress(k, steps - schedule.decay_steps, steps));
    }
    return peak;
}

}  // namespace gpas
