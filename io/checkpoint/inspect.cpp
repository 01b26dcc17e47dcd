#include "io/checkpoint/inspect.hpp"

#include "base/bytes_text.hpp"
#include "base/error.hpp"
#include "io/checkpoint/blocks.hpp"
#include "io/checkpoint/contents.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gpas {
namespace {

using std::filesystem::path;

struct Statistics {
    double norm = 0, mean = 0;
    double min = std::numeric_limits<double>::infinity(), max = -min;
    std::int64_t not_finite = 0;
};

Statistics statistics_of(std::span<const float> values) {
    Statistics result;
    double squares = 0, sum = 0;
    for (float value : values) {
        const double x = value;
        if (!std::isfinite(x)) {
            ++result.not_finite;
            continue;
        }
        squares += x * x;
        sum += x;
        result.min = std::min(result.min, x);
        result.max = std::max(result.max, x);
    }
    result.norm = std::sqrt(squares);
    result.mean = sum / double(values.size());
    return result;
}

// Whether this is a GPAS gate. The gate matrix of the MLP is not.
bool is_gate(const TensorInfo& tensor) {
    return tensor.name.starts_with("weights/") && tensor.name.ends_with("gate") && element_count(tensor.shape) == 1;
}

double silu(double g) { return g / (1 + std::exp(-g)); }

std::string one_line(const std::string& text) {
    const std::size_t end = text.find('\n');
    if (end == std::string::npos) return text;
    return fmt::format("({} lines)", std::count(text.begin(), text.end(), '\n'));
}

// The file stores a seed (unsigned) as a signed integer with the same bits.
std::string field_text(const char* name, const auto& value) {
    if constexpr (std::is_integral_v<std::decay_t<decltype(value)>>)
        if (std::string_view(name) == "seed") return fmt::format("{}", std::uint64_t(value));
    return fmt::format("{}", value);
}

void add_header(std::string& report, const CheckpointHeader& header) {
    for_each_field(header, [&](const char* name, const auto& value) {
        report += fmt::format("{:<22} {}\n", name, one_line(field_text(name, value)));
    });
    for (const auto& [key, value] : header.extra) report += fmt::format("{:<22} {}\n", "extra." + key, one_line(value));
}

void add_totals(std::string& report, std::span<const TensorInfo> tensors) {
    for (const char* group : state_groups) {
        std::int64_t count = 0, elements = 0;
        for (const TensorInfo& tensor : tensors) {
            if (!tensor.name.starts_with(std::string(group) + "/")) continue;
            ++count;
            elements += element_count(tensor.shape);
        }
        if (count > 0) report += fmt::format("{:<22} {} tensors, {} elements\n", group, count, elements);
    }
}

std::string row_of(const TensorInfo& tensor, std::size_t width, const Statistics& s) {
    std::string row = fmt::format("{:<{}}  {:<16} {:>11.4e} {:>11.3e} {:>11.3e} {:>11.3e}", tensor.name, width,
                                  shape_text(tensor.shape), s.norm, s.mean, s.min, s.max);
    if (s.not_finite > 0) row += fmt::format("  {} NaN or Inf", s.not_finite);
    return row + "\n";
}

std::string gate_row(const TensorInfo& tensor, double g) {
    return fmt::format("{}  g {:+.6f}  silu(g) {:+.6f}\n", tensor.name, g, silu(g));
}

std::size_t name_width(std::span<const TensorInfo> tensors) {
    std::size_t width = 6;
    for (const TensorInfo& tensor : tensors) width = std::max(width, tensor.name.size());
    return width;
}

void add_tensors(std::string& report, const Contents& contents, const path& file, bool statistics) {
    const std::size_t width = name_width(contents.tensors);
    std::string gates;
    report += statistics ? fmt::format("\n{:<{}}  {:<16} {:>11} {:>11} {:>11} {:>11}\n", "tensor", width, "shape",
                                       "norm", "mean", "min", "max")
                         : fmt::format("\n{:<{}}  shape\n", "tensor", width);
    for (std::size_t t = 0; t < contents.tensors.size(); ++t) {
        const TensorInfo& tensor = contents.tensors[t];
        if (!statistics && !is_gate(tensor)) {
            report += fmt::format("{:<{}}  {}\n", tensor.name, width, shape_text(tensor.shape));
            continue;
        }
        const std::vector<float> values = read_whole(contents, file, t);
        report += statistics ? row_of(tensor, width, statistics_of(values))
                             : fmt::format("{:<{}}  {}\n", tensor.name, width, shape_text(tensor.shape));
        if (is_gate(tensor)) gates += gate_row(tensor, values[0]);
    }
    if (!gates.empty()) report += "\ngates (if they are SiLU gates, 1 - silu(g) scales the stream)\n" + gates;
}

void add_header_differences(std::string& report, const CheckpointHeader& a, const CheckpointHeader& b) {
    std::vector<std::string> texts;
    for_each_field(a, [&](const char* name, const auto& value) { texts.push_back(field_text(name, value)); });
    std::size_t i = 0;
    for_each_field(b, [&](const char* name, const auto& value) {
        const std::string& left = texts[i++];
        const std::string right = field_text(name, value);
        if (left == right) return;
        report += left.find('\n') == std::string::npos && right.find('\n') == std::string::npos
                      ? fmt::format("{:<22} {} | {}\n", name, left, right)
                      : fmt::format("{:<22} differs\n", name);
    });
    if (a.extra != b.extra) report += fmt::format("{:<22} differs\n", "extra");
}

struct Difference {
    double largest = 0, relative = 0;
    bool comparable = true;
};

Difference difference_of(std::span<const float> a, std::span<const float> b) {
    Difference result;
    double squares = 0, reference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double d = double(a[i]) - double(b[i]);
        if (std::isnan(d)) result.comparable = false;
        result.largest = std::max(result.largest, std::fabs(d));
        squares += d * d;
        reference += double(a[i]) * double(a[i]);
    }
    result.relative = squares == 0 ? 0 : std::sqrt(squares / reference);
    return result;
}

}  // namespace

InspectReport inspect_report(const path& file, const InspectOptions& options) {
    const Contents contents = open_contents(file);
    std::string report = fmt::format("{:<22} {}\n", "checkpoint", file.string());
    add_header(report, contents.header);
    add_totals(report, contents.tensors);
    // Verify first, so that the report lists all damage. Reading the tensors would end at the first damaged tensor.
    VerifyReport verified;
    if (options.verify) verified = verify(file);
    if (!verified.intact() && !std::filesystem::exists(file)) fail(ExitCode::bad_file, "{}", removed_message(file));
    if (verified.intact()) add_tensors(report, contents, file, options.statistics);
    if (options.config) report += "\n" + contents.header.config;
    if (options.verify) {
        for (const std::string& problem : verified.problems) report += "damaged: " + problem + "\n";
        report += fmt::format("\nverified: {} tensors, {} blocks, {}: {}\n", verified.tensors, verified.blocks,
                              bytes_text(double(verified.data_bytes)),
                              verified.intact() ? "intact" : fmt::format("{} problems", verified.problems.size()));
    }
    return {.text = std::move(report), .damage = verified.intact() ? "" : verified.problems.front()};
}

std::string difference_report(const path& a, const path& b) {
    const Contents left = open_contents(a), right = open_contents(b);
    std::string report = fmt::format("a: {}\nb: {}\n", a.string(), b.string());
    add_header_differences(report, left.header, right.header);
    const std::size_t width = std::max(name_width(left.tensors), name_width(right.tensors));
    report += fmt::format("\n{:<{}}  {:>12} {:>12}\n", "tensor", width, "max |a-b|", "|a-b|/|a|");
    std::int64_t different = 0;
    std::size_t i = 0, j = 0;
    while (i < left.tensors.size() || j < right.tensors.size()) {
        const bool in_left =
            i < left.tensors.size() && (j == right.tensors.size() || left.tensors[i].name <= right.tensors[j].name);
        const bool in_right =
            j < right.tensors.size() && (i == left.tensors.size() || right.tensors[j].name <= left.tensors[i].name);
        const TensorInfo& tensor = in_left ? left.tensors[i] : right.tensors[j];
        std::string outcome;
        if (!in_left || !in_right) {
            outcome = in_left ? "only in a" : "only in b";
        } else if (tensor.shape != right.tensors[j].shape) {
            outcome = shape_text(tensor.shape) + " | " + shape_text(right.tensors[j].shape);
        } else {
            const Difference d = difference_of(read_whole(left, a, i), read_whole(right, b, j));
            if (!d.comparable)
                outcome = "NaN";
            else if (d.largest > 0)
                outcome = fmt::format("{:>12.4e} {:>12.4e}", d.largest, d.relative);
        }
        if (!outcome.empty()) {
            ++different;
            report += fmt::format("{:<{}}  {}\n", tensor.name, width, outcome);
        }
        i += in_left, j += in_right;
    }
    return report + fmt::format("{} tensors differ\n", different);
}

}  // namespace gpas
