#include "io/metrics/progress_bar.hpp"

#include "base/error.hpp"
#include "io/metrics/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include <unistd.h>

namespace gpas {
namespace {

constexpr int bar_width = 20;
constexpr double redraw_seconds = 0.1;     // on a terminal
constexpr double plain_line_seconds = 30;  // in a log file

double monotonic_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string progress_text(const std::string& label, std::int64_t done, std::int64_t total, const std::string& unit,
                          double elapsed_seconds) {
    if (total <= 0)
        return fmt::format("{}  {} {}  {}", label, quantity_text(double(done)), unit, duration_text(elapsed_seconds));
    const double share = std::clamp(double(done) / double(total), 0.0, 1.0);
    const int filled = int(share * bar_width);
    const double left = share > 0 ? elapsed_seconds * (1 - share) / share : -1;
    return fmt::format("{}  [{}{}] {:>3}%  {}/{} {}  {} {}", label, std::string(std::size_t(filled), '#'),
                       std::string(std::size_t(bar_width - filled), '.'), int(100 * share), quantity_text(double(done)),
                       quantity_text(double(total)), unit, share < 1 ? "eta" : "took",
                       duration_text(share < 1 ? left : elapsed_seconds));
}

ProgressBar::ProgressBar(std::string label, std::int64_t total, std::string unit, std::FILE* out)
    : ProgressBar(std::move(label), total, std::move(unit), out, isatty(fileno(out)) == 1, monotonic_seconds) {}

ProgressBar::ProgressBar(std::string label, std::int64_t total, std::string unit, std::FILE* out, bool terminal,
                         std::function<double()> clock)
    : label_(std::move(label)),
      total_(total),
      unit_(std::move(unit)),
      out_(out),
      terminal_(terminal),
      clock_(std::move(clock)),
      start_(clock_()),
      last_drawn_(start_) {}

ProgressBar::~ProgressBar() { finish(); }

void ProgressBar::draw(double now) {
    const std::string text = progress_text(label_, done_, total_, unit_, now - start_);
    // Carriage return and "erase to the end of the line", so that a shorter text removes the whole previous text.
    if (terminal_)
        fmt::print(out_, "\r{}\x1b[K", text);
    else
        fmt::print(out_, "{}\n", text);
    std::fflush(out_);
    last_drawn_ = now;
    drawn_ = true;
}

void ProgressBar::advance_to(std::int64_t done) {
    done_ = done;
    const double now = clock_();
    if (now - last_drawn_ >= (terminal_ ? redraw_seconds : plain_line_seconds)) draw(now);
}

void ProgressBar::finish() {
    if (finished_ || !drawn_) return;
    finished_ = true;
    if (terminal_) {
        fmt::print(out_, "\r\x1b[K");
        std::fflush(out_);
    } else {
        draw(clock_());
    }
}

}  // namespace gpas
