#include "engine/run/choice_scores.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gpas {
namespace {

// Whether values[label] is the largest value, and the first of equal ones.
bool is_best(const std::vector<double>& values, std::int64_t label) {
    if (std::any_of(values.begin(), values.end(), [](double x) { return std::isnan(x); })) return false;
    return std::max_element(values.begin(), values.end()) - values.begin() == label;
}

TaskShare share_of(std::int64_t right, std::int64_t questions) {
    const double n = double(questions), mean = double(right) / n;
    const double variance = questions > 1 ? n * mean * (1.0 - mean) / (n - 1.0) : 0.0;  // of numbers 0 and 1
    return {.value = mean, .standard_error = std::sqrt(variance / n)};
}

}  // namespace

TaskMetrics choice_scores(const ChoiceTask& task, std::span<const double> log_likelihoods) {
    std::int64_t right = 0, right_per_character = 0, right_per_byte = 0;
    double nats = 0.0, bytes = 0.0;
    std::size_t next = 0;
    for (const ChoiceQuestion& question : task.questions) {
        std::vector<double> plain, per_character, per_byte;
        for (const std::string& choice : question.choices) {
            require(next < log_likelihoods.size(), "{} log-likelihoods for {}", log_likelihoods.size(), task.file);
            const double x = log_likelihoods[next++];
            plain.push_back(x);
            per_character.push_back(x / double(character_count(choice)));
            per_byte.push_back(x / double(choice.size()));
        }
        right += is_best(plain, question.label);
        right_per_character += is_best(per_character, question.label);
        right_per_byte += is_best(per_byte, question.label);
        nats -= plain[std::size_t(question.label)];
        bytes += double(question.choices[std::size_t(question.label)].size());
    }
    const auto questions = std::int64_t(task.questions.size());
    return {.task = task.name,
            .questions = questions,
            .acc = share_of(right, questions),
            .acc_norm = share_of(right_per_character, questions),
            .acc_bytes = share_of(right_per_byte, questions),
            .bits_per_byte = nats / bytes / std::numbers::ln2};
}

}  // namespace gpas
