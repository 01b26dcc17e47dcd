// What preflight prints: a table of checks, then the findings.
#pragma once

#include "engine/preflight/judge.hpp"

#include <string>
#include <vector>

namespace gpas::preflight {

class Report {
public:
    // A row of the table: "ok" where there are no findings.
    void add(const std::string& check, const std::string& text, const Findings& findings = {});
    std::int64_t problems(bool strict) const;
    bool only_bad_files(bool strict) const;
    // The table and the findings, as they stand.
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
