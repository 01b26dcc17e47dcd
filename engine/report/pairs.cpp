#include "engine/report/pairs.hpp"

#include "engine/report/thin.hpp"

#include <cmath>

namespace gpas {
namespace {

ReportJson training_differences(const LossByTokens& differences, std::size_t most) {
    ReportJson x = ReportJson::array(), mean = ReportJson::array(), low = ReportJson::array(),
               high = ReportJson::array();
    for (const IndexRange& part : equal_parts(differences.loss.size(), most)) {
        const MeanAndDeviation found =
            mean_and_deviation(std::span(differences.loss).subspan(part.begin, part.end - part.begin));
        x.push_back(whole_number(differences.tokens[part.middle()]));
        mean.push_back(short_number(found.mean));
        low.push_back(short_number(found.mean - found.deviation));
        high.push_back(short_number(found.mean + found.deviation));
    }
    return {{"x", x}, {"mean", mean}, {"low", low}, {"high", high}};
}

}  // namespace

LossByTokens paired_differences(const LossByTokens& first, const LossByTokens& other) {
    LossByTokens result;
    std::size_t a = 0, b = 0;
    while (a < first.tokens.size() && b < other.tokens.size()) {
        if (first.tokens[a] != other.tokens[b]) {
            ++(first.tokens[a] < other.tokens[b] ? a : b);
            continue;
        }
        const double difference = other.loss[b] - first.loss[a];
        if (std::isfinite(difference)) {
            result.tokens.push_back(first.tokens[a]);
            result.loss.push_back(difference);
        }
        ++a, ++b;
    }
    return result;
}

ReportJson pair_json(const RunLosses& first, const RunLosses& other, std::size_t most) {
    const LossByTokens training = paired_differences(first.training, other.training);
    const LossByTokens validation = paired_differences(first.validation, other.validation);
    const std::size_t pairs = training.loss.size();
    const std::size_t tenth = (pairs + 9) / 10;
    const MeanAndDeviation late = mean_and_deviation(std::span(training.loss).last(tenth));
    ReportJson x = ReportJson::array(), y = ReportJson::array();
    for (std::size_t i = 0; i < validation.loss.size(); ++i) {
        x.push_back(whole_number(validation.tokens[i]));
        y.push_back(short_number(validation.loss[i]));
    }
    ReportJson numbers{
        {"pairs", pairs},
        {"tokens", pairs > 0 ? whole_number(training.tokens.back()) : ReportJson()},
        {"last_tenth",
         {{"mean", short_number(late.mean)}, {"deviation", short_number(late.deviation)}, {"count", late.count}}},
        {"validation", y.empty() ? ReportJson() : y.back()},
        {"validation_tokens", x.empty() ? ReportJson() : x.back()}};
    return {
        {"training", training_differences(training, most)}, {"validation", {{"x", x}, {"y", y}}}, {"numbers", numbers}};
}

}  // namespace gpas
