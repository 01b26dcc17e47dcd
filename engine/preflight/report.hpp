// The report that preflight prints: a table of checks, then the findings.
#pragma once

#include "engine/preflight/judge.hpp"

#include <string>
#include <vector>

namespace gpas::preflight {

class Report {
public:
    // Adds a row to the table: "ok" if there are no findings.
    void add(const std::string& check, const std::string& text, const Findings& findings = {});
    std::int64_t problems(bool strict) const;  // number of findings that make preflight fail
    bool only_bad_files(bool strict) const;    // all of these have Severity::bad_file
    // The table and the findings so far.
    std::string text(bool strict) const;

private:
    struct Row {
        std::string check;
        std::string state;
        std::string text;
    };
    std::vector<Row> rows_;
    Findings findings_;
};

}  // namespace gpas::preflight
