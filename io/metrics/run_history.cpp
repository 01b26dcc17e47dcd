#include "io/metrics/run_history.hpp"

#include "base/error.hpp"
#include "io/metrics/line_follower.hpp"
#include "io/metrics/run_records.hpp"

#include <nlohmann/json.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <iterator>

namespace gpas {
namespace {

using std::filesystem::path;

// Adds records to a history in the order of the file.
class HistoryBuilder {
public:
    explicit HistoryBuilder(RunHistory& history) : history_(history) {}

    void operator()(std::monostate) {}
    void operator()(StepView step) {
        if (!history_.steps.empty() && step.step <= history_.steps.back().step) forget_from(step.step);
        history_.steps.push_back(step);
    }
    void operator()(EvalView evaluation) {
        forget_if_undone(evaluation.step);
        history_.evaluations.push_back(evaluation);
    }
    void operator()(const GpasView& view) {
        forget_if_undone(view.step);
        history_.gates.add(view.step, readings(view.gates));
        history_.variances.add(view.step, readings(view.variances));
    }
    void operator()(EventView event) {
        forget_if_undone(event.step);
        history_.events.push_back(std::move(event));
    }

private:
    template <class View>
    static std::vector<std::pair<SiteColumn, double>> readings(const std::vector<View>& views) {
        std::vector<std::pair<SiteColumn, double>> found;
        for (const View& view : views) found.push_back({{view.layer, view.site}, view.value});
        return found;
    }

    void forget_if_undone(std::int64_t step) {
        if (!history_.steps.empty() && step < history_.steps.back().step) forget_from(step + 1);
    }

    void forget_from(std::int64_t step) {
        const auto later = [step](const auto& record) { return record.step >= step; };
        std::erase_if(history_.steps, later);
        std::erase_if(history_.evaluations, later);
        std::erase_if(history_.events, later);
        history_.gates.forget_from(step);
        history_.variances.forget_from(step);
    }

    RunHistory& history_;
};

void read_records(const path& file, RunHistory& history) {
    HistoryBuilder build(history);
    std::int64_t number = 0;
    const auto take = [&](std::string_view line) {
        ++number;
        auto record = parse_record(line);
        const StepView* step = record ? std::get_if<StepView>(&*record) : nullptr;
        if (!record || (step && !std::isfinite(step->consumed_tokens)))
            fail(ExitCode::bad_file,
                 "{}:{}: found '{}', expected a record of a run: a JSON object with `kind`, `step` and, for a step, "
                 "`consumed_tokens`; remove the line",
                 file.string(), number, line.substr(0, 60));
        std::visit(build, std::move(*record));
    };
    const auto restart = [&] {
        history = {};
        number = 0;
    };
    if (!LineFollower(file).read(restart, take))
        fail(ExitCode::bad_file,
             "{}: cannot be read as a file; expected the records of a run, which `gpas train` writes if metrics.jsonl "
             "is true",
             file.string());
    if (history.steps.empty())
        fail(ExitCode::bad_file, "{}: no record of a step yet; `gpas train` writes one every metrics.every steps",
             file.string());
}

// When an earlier run in this directory wrote its last record, in seconds since 1970; 0 without an earlier run. Its
// records are in metrics.<n>.jsonl; metrics.abandoned.jsonl may still contain lines of it.
double end_of_earlier_run(const path& directory) {
    double latest = 0.0;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
        const path name = entry->path().filename();
        const std::string number = name.stem().extension().string();
        if (name.stem().stem() != "metrics" || name.extension() != ".jsonl" || number.size() < 2) continue;
        if (number.find_first_not_of("0123456789", 1) != std::string::npos) continue;
        struct stat found = {};
        if (stat(entry->path().c_str(), &found) == 0)
            latest = std::max(latest, double(found.st_mtim.tv_sec) + 1e-9 * double(found.st_mtim.tv_nsec));
    }
    return latest;
}

void read_resumes(const path& directory, RunHistory& history) {
    const double earlier = end_of_earlier_run(directory);
    const auto take = [&](std::string_view line) {
        if (!line.starts_with(R"({"kind":"abandoned")")) return;
        const auto record = nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
        if (!record.is_object() || !record.contains("time") || !record.contains("resumed_step")) return;
        if (!record["time"].is_number() || !record["resumed_step"].is_number_integer()) return;
        const std::int64_t step = record["resumed_step"];
        if (record["time"] < earlier || step > history.steps.back().step) return;
        history.resumed_from.push_back(step);
    };
    LineFollower(directory / "metrics.abandoned.jsonl").read([] {}, take);  // most runs do not have this file
}

}  // namespace

void SiteTable::add(std::int64_t step, const std::vector<std::pair<SiteColumn, double>>& readings) {
    if (readings.empty()) return;
    steps.push_back(step);
    std::vector<double>& row = rows.emplace_back(columns.size(), unknown_number);
    for (std::size_t i = 0; i < readings.size(); ++i) {
        const auto& [column, value] = readings[i];
        std::size_t at = i;  // almost always the order of the record before
        if (i >= columns.size() || columns[i] != column)
            at = std::size_t(std::distance(columns.begin(), std::ranges::find(columns, column)));
        if (at == columns.size()) {
            columns.push_back(column);
            row.push_back(unknown_number);
        }
        row[at] = value;
    }
}

void SiteTable::forget_from(std::int64_t step) {
    const auto first = std::ranges::lower_bound(steps, step);
    rows.resize(std::size_t(std::distance(steps.begin(), first)));
    steps.erase(first, steps.end());
}

RunHistory read_history(const path& directory) {
    if (!std::filesystem::is_directory(directory))
        fail(ExitCode::bad_file,
             "{}: no such directory; expected the directory of a run (`directory` in its configuration)",
             directory.string());
    const path file = directory / "metrics.jsonl";
    if (!std::filesystem::exists(file))
        fail(ExitCode::bad_file,
             "{}: no metrics.jsonl in this directory; expected the directory of a run; run `gpas train` first, with "
             "metrics.jsonl=true",
             directory.string());
    RunHistory history;
    read_records(file, history);
    read_resumes(directory, history);
    return history;
}

}  // namespace gpas
