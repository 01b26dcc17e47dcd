#include "base/durable.hpp"
#include "base/error.hpp"
#include "engine/report/page_parts.hpp"
#include "engine/report/report.hpp"
#include "io/data/output_file.hpp"

#include <fstream>

namespace gpas {
namespace {

// The page starts with this line, by which write_report recognises a report that it may replace.
constexpr std::string_view report_first_line = "<!doctype html><!-- written by gpas report -->";

// JSON inside of an HTML script element: no "<" may appear, because "</script>" would end the element. In JSON, "<"
// appears only in texts.
std::string json_for_html(const ReportJson& data) {
    const std::string json = data.dump(-1, ' ', false, ReportJson::error_handler_t::replace);
    std::string text;
    text.reserve(json.size());
    for (const char c : json) {
        if (c == '<')
            text += "\\u003c";
        else
            text += c;
    }
    return text;
}

bool is_report(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    std::string found(report_first_line.size(), '\0');
    in.read(found.data(), std::streamsize(found.size()));
    return in && found == report_first_line;
}

}  // namespace

std::string report_page(const ReportJson& data) {
    std::string page(report_first_line);
    page +=
        "\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<title>gpas report</title>\n<style>\n";
    page.append(report_parts::uplot_style).append("\n").append(report_parts::style);
    page.append("</style>\n</head>\n").append(report_parts::body);
    page.append("<script type=\"application/json\" id=\"data\">").append(json_for_html(data)).append("</script>\n");
    page.append("<script>\n/* uPlot, used under this licence:\n").append(report_parts::uplot_licence).append("*/\n");
    page.append(report_parts::uplot).append("\n</script>\n<script>\n");
    page.append(report_parts::format).append(report_parts::charts).append(report_parts::figures);
    return page.append(report_parts::tables).append(report_parts::script).append("</script>\n</html>\n");
}

void check_report_output(const std::string& output) {
    const std::filesystem::path file(output);
    const std::filesystem::path parent = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
    if (!std::filesystem::is_directory(parent))
        fail(ExitCode::usage, "--output {}: no directory {}; create it first", output, parent.string());
    if (!file.has_filename() || std::filesystem::is_directory(file))
        fail(ExitCode::usage, "--output {}: found a directory, expected the name of a file, such as {}", output,
             (file / "report.html").string());
    if (std::filesystem::exists(file) && !is_report(output))
        fail(ExitCode::usage, "--output {}: this file exists and is not a page of gpas report; give another name",
             output);
}

void write_report(const std::string& output, const std::string& page) {
    check_report_output(output);
    const std::filesystem::path target = std::filesystem::absolute(output);
    const std::string partial = target.string() + ".partial";
    TemporaryFile temporary(partial);
    OutputFile file(partial, OutputFile::Mode::create);
    file.write(page.data(), std::int64_t(page.size()));
    file.flush();
    temporary.rename_to(target);
}

}  // namespace gpas
