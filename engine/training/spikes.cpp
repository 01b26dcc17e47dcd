#include "engine/training/spikes.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <sstream>

namespace gpas {
namespace {

std::string stands_out(const char* what, double value, const std::deque<double>& past, double sigmas) {
    double sum = 0.0, squares = 0.0;
    for (const double x : past) sum += x;
    const double mean = sum / double(past.size());
    for (const double x : past) squares += (x - mean) * (x - mean);
    const double deviation = std::max(std::sqrt(squares / double(past.size())), 0.01 * std::abs(mean));
    if (value <= mean + sigmas * deviation) return {};
    return fmt::format("{} {:.4g} is {:.3g} standard deviations above {:.4g}, the mean of {} steps", what, value,
                       (value - mean) / deviation, mean, past.size());
}

}  // namespace

Spike SpikeHistory::spike(double loss, double gradient_norm) const {
    const std::int64_t kept = std::int64_t(losses_.size());
    if (config_.spike_sigmas <= 0.0 || kept < std::max<std::int64_t>(2, config_.spike_window / 4)) return {};
    std::string text = stands_out("the loss", loss, losses_, config_.spike_sigmas);
    if (!text.empty()) return {"loss_spike", text};
    if (config_.spike_gradient) text = stands_out("the gradient norm", gradient_norm, norms_, config_.spike_sigmas);
    if (!text.empty()) return {"gradient_spike", text};
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
