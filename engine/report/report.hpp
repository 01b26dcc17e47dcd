// `gpas report`: one HTML page about one or several runs. The page contains its data, uPlot and its own script, so it
// opens from a file without a network.
#pragma once

#include "engine/report/json_values.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace gpas {

// The data of the page, documented in the headers that make its parts:
//   version (of gpas), runs: [{label, directory, name, architecture, parameters, configuration (why it is missing, or
//   null), numbers, …run_json}], pairs: [{run (index), …pair_json}] of every run but the first,
//   differences: configuration_differences
// A run's label is the last part of its directory, or the whole directory if two runs have the same last part.
// Error(bad_file) if a directory does not contain the records of a run (read_history), Error(usage) if a directory is
// given twice.
ReportJson report_json(const std::vector<std::filesystem::path>& directories);

// The page with this data (page.html, with its script and style). Pure.
std::string report_page(const ReportJson& data);

// Writes the page; an existing report is replaced when the new page is complete. Error(usage) if `output` is a
// directory, is in a directory that does not exist, or exists and is not a report. Error(environment) if it cannot be
// written; no part of the page is left then.
void write_report(const std::string& output, const std::string& page);

// Refuses what write_report would refuse, before the runs are read. Error(usage).
void check_report_output(const std::string& output);

}  // namespace gpas
