#include "engine/guard/spikes.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <sstream>

namespace gpas {
namespace {

struct Past {
    double mean = 0.0, deviation = 0.0;
    std::size_t steps = 0;
};

Past past_of(const std::deque<double>& values) {
    double sum = 0.0, squares = 0.0;
    for (const double x : values) sum += x;
    const double mean = sum / double(values.size());
    for (const double x : values) squares += (x - mean) * (x - mean);
    return {.mean = mean,
            .deviation = std::max(std::sqrt(squares / double(values.size())), 0.01 * std::abs(mean)),
            .steps = values.size()};
}

double limit_of(const Past& past, double sigmas) { return past.mean + sigmas * past.deviation; }

std::string text_of(const char* what, double value, const Past& past) {
    return fmt::format("{} {:.4g} is {:.3g} standard deviations above {:.4g}, the mean of {} steps", what, value,
                       (value - past.mean) / past.deviation, past.mean, past.steps);
}

}  // namespace

SpikeLimits SpikeHistory::limits() const {
    const std::int64_t kept = std::int64_t(losses_.size());
    SpikeLimits limits;
    if (config_.spike_sigmas <= 0.0 || kept < std::max<std::int64_t>(2, config_.spike_window / 4)) return limits;
    limits.loss = limit_of(past_of(losses_), config_.spike_sigmas);
    if (config_.spike_gradient) limits.gradient_norm = limit_of(past_of(norms_), config_.spike_sigmas);
    return limits;
}

Spike SpikeHistory::spike(double loss, double gradient_norm) const {
    const SpikeLimits most = limits();
    if (loss > most.loss) return {"loss_spike", text_of("the loss", loss, past_of(losses_))};
    if (gradient_norm > most.gradient_norm)
        return {"gradient_spike", text_of("the gradient norm", gradient_norm, past_of(norms_))};
    return {};
}

void SpikeHistory::add(double loss, double gradient_norm) {
    losses_.push_back(loss);
    norms_.push_back(gradient_norm);
    while (std::int64_t(losses_.size()) > config_.spike_window) {
        losses_.pop_front();
        norms_.pop_front();
    }
}

std::string SpikeHistory::text() const {
    std::string text;
    for (std::size_t i = 0; i < losses_.size(); ++i) text += fmt::format("{:a} {:a}\n", losses_[i], norms_[i]);
    return text;
}

void SpikeHistory::restore(const std::string& text) {
    losses_.clear();
    norms_.clear();
    std::istringstream words(text);
    for (std::string loss, norm; words >> loss >> norm;)
        add(std::strtod(loss.c_str(), nullptr), std::strtod(norm.c_str(), nullptr));
}

}  // namespace gpas
