#include "engine/preflight/report.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gpas::preflight {
namespace {

bool is_problem(const Finding& finding, bool strict) { return strict || finding.severity != Severity::slow; }

}  // namespace

void Report::add(const std::string& check, const std::string& text, const Findings& findings) {
    const bool problem =
        std::any_of(findings.begin(), findings.end(), [](const Finding& f) { return is_problem(f, false); });
    rows_.push_back({check, problem ? "PROBLEM" : findings.empty() ? "ok" : "slow", text});
    findings_.insert(findings_.end(), findings.begin(), findings.end());
}

std::int64_t Report::problems(bool strict) const {
    return std::count_if(findings_.begin(), findings_.end(), [&](const Finding& f) { return is_problem(f, strict); });
}

bool Report::only_bad_files(bool strict) const {
    return std::all_of(findings_.begin(), findings_.end(),
                       [&](const Finding& f) { return f.severity == Severity::bad_file || !is_problem(f, strict); });
}

std::string Report::text(bool strict) const {
    std::string text;
    for (const Row& row : rows_) text += fmt::format("{:<15} {:<8} {}\n", row.check, row.state, row.text);
    for (const Finding& finding : findings_)
        text += fmt::format("gpas: preflight: {}{}\n", is_problem(finding, strict) ? "" : "slow: ", finding.text);
    return text;
}

}  // namespace gpas::preflight
