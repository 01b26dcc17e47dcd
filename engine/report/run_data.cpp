#include "engine/report/run_data.hpp"

#include "engine/report/marks.hpp"
#include "engine/report/thin.hpp"
#include "engine/report/token_axis.hpp"

#include <algorithm>
#include <cmath>

namespace gpas {
namespace {

struct Quantity {
    const char* name;
    double StepView::* member;
    bool drawn_if_zero;  // false: 0 means that the run did not know it, or that it does not have it
};

constexpr Quantity quantities[] = {
    {"learning_rate", &StepView::learning_rate, true},
    {"gradient_norm", &StepView::gradient_norm, false},
    {"gate_gradient_norm", &StepView::gate_gradient_norm, false},
    {"tokens_per_second", &StepView::tokens_per_second, false},
    {"mfu", &StepView::mfu, false},
    {"seconds_data", &StepView::seconds_data, true},
    {"seconds_compute", &StepView::seconds_compute, true},
    {"seconds_communication", &StepView::seconds_communication, true},
    {"seconds_optimizer", &StepView::seconds_optimizer, true},
    {"arena_bytes", &StepView::arena_bytes, false},
    {"resident_bytes", &StepView::resident_bytes, false},
};

ReportJson points_json(const std::vector<double>& tokens, const std::vector<double>& values, std::size_t most) {
    ReportJson x = ReportJson::array(), y = ReportJson::array();
    for (const std::size_t i : thinned(values, most)) {
        x.push_back(whole_number(tokens[i]));
        y.push_back(short_number(values[i]));
    }
    return {{"x", x}, {"y", y}};
}

ReportJson means_json(const LossByTokens& training, std::size_t most) {
    constexpr std::size_t least_steps = 10;  // per mean
    ReportJson x = ReportJson::array(), y = ReportJson::array();
    const std::size_t means = std::min(most, training.loss.size() / least_steps);
    for (const IndexRange& part : equal_parts(training.loss.size(), means)) {
        x.push_back(whole_number(training.tokens[part.middle()]));
        y.push_back(
            short_number(mean_and_deviation(std::span(training.loss).subspan(part.begin, part.end - part.begin)).mean));
    }
    return {{"x", x}, {"y", y}};
}

ReportJson series_json(const RunHistory& history, const ReportSize& size) {
    const LossByTokens training = training_loss(history);
    ReportJson series{{"loss", points_json(training.tokens, training.loss, size.loss_points)}};
    if (training.loss.size() >= 100) series["loss_mean"] = means_json(training, size.means);
    std::vector<double> tokens, values(history.steps.size());
    for (const StepView& step : history.steps) tokens.push_back(step.consumed_tokens);
    for (const Quantity& quantity : quantities) {
        std::ranges::transform(history.steps, values.begin(), quantity.member);
        const bool drawn = std::ranges::any_of(
            values, [&](double value) { return std::isfinite(value) && (quantity.drawn_if_zero || value != 0.0); });
        if (drawn) series[quantity.name] = points_json(tokens, values, size.points);
    }
    return series;
}

ReportJson validation_json(const RunHistory& history, const ReportSize& size) {
    ReportJson steps = ReportJson::array(), x = ReportJson::array(), y = ReportJson::array();
    std::vector<const EvalView*> measured;
    std::vector<double> losses;
    for (const EvalView& evaluation : history.evaluations) {
        if (evaluation.tokens == 0) continue;
        measured.push_back(&evaluation);
        losses.push_back(evaluation.loss);
    }
    for (const std::size_t i : thinned(losses, size.points)) {
        steps.push_back(measured[i]->step);
        x.push_back(whole_number(tokens_at(history.steps, measured[i]->step)));
        y.push_back(short_number(losses[i]));
    }
    return {{"x", x}, {"step", steps}, {"y", y}};
}

double reading_at(const std::vector<double>& row, std::size_t column) {
    return column < row.size() ? row[column] : unknown_number;
}

// Keeps the records with the largest and the smallest reading, so that a spike of one site stays visible.
ReportJson sites_json(const RunHistory& history, const SiteTable& table, std::size_t most_readings) {
    const std::size_t most = std::max<std::size_t>(8, most_readings / std::max<std::size_t>(1, table.columns.size()));
    std::vector<double> extremes;
    for (const std::vector<double>& row : table.rows) {
        double extreme = unknown_number;
        for (const double value : row) extreme = std::fmax(extreme, std::abs(value));
        extremes.push_back(extreme);
    }
    const std::vector<std::size_t> kept = thinned(extremes, most);
    ReportJson x = ReportJson::array(), sites = ReportJson::array();
    for (const std::size_t i : kept) x.push_back(whole_number(tokens_at(history.steps, table.steps[i])));
    for (std::size_t column = 0; column < table.columns.size(); ++column) {
        ReportJson y = ReportJson::array();
        for (const std::size_t i : kept) y.push_back(short_number(reading_at(table.rows[i], column), 4));
        sites.push_back({{"layer", table.columns[column].layer}, {"site", table.columns[column].site}, {"y", y}});
    }
    return {{"x", x}, {"sites", sites}};
}

}  // namespace

ReportSize report_size(std::size_t runs) {
    const std::size_t n = std::max<std::size_t>(1, runs);
    const auto share = [n](std::size_t all, std::size_t least, std::size_t most) {
        return std::clamp(all / n, least, most);
    };
    return {.loss_points = share(12000, 200, 4000),
            .points = share(8000, 100, 2000),
            .means = share(6000, 100, 300),
            .readings = share(120000, 1000, 60000),
            .marks = share(1200, 50, 300)};
}

ReportJson run_json(const RunHistory& history, const ReportSize& size) {
    const std::vector<Mark> marks = marks_of(history);
    return {{"records", history.steps.size()},
            {"thinned", history.steps.size() > std::min(size.points, size.loss_points)},
            {"series", series_json(history, size)},
            {"validation", validation_json(history, size)},
            {"gates", sites_json(history, history.gates, size.readings / 2)},
            {"variances", sites_json(history, history.variances, size.readings / 2)},
            {"marks", marks_json(marks, size.marks)},
            {"mark_counts", mark_counts_json(marks)}};
}

}  // namespace gpas
