#include "parallel/comm_log.hpp"

#include "kernels/error.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <utility>

namespace gpas {
namespace {

std::int64_t nanoseconds() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

}  // namespace

std::string text_of(const CommCall& call) {
    std::string text = fmt::format("{} of {}", call.op, call.what);
    if (!call.group.empty()) text += fmt::format(" over {}", call.group);
    std::string details = call.data;
    const auto add = [&](const char* name, std::int64_t number) {
        if (number >= 0) details += fmt::format("{}{} {}", details.empty() ? "" : ", ", name, number);
    };
    add("step", call.step);
    add("micro-batch", call.micro_batch);
    return details.empty() ? text : fmt::format("{} ({})", text, details);
}

double CommLog::now() const { return double(nanoseconds() - started_nanoseconds_) * 1e-9; }

void CommLog::set_place(std::int64_t step, std::int64_t micro_batch) {
    step_ = step;
    micro_batch_ = micro_batch;
}

std::int64_t CommLog::begin(const std::string& group, const char* op, const char* what, std::string data) {
    if (calls_.empty()) {
        calls_.resize(capacity);
        started_nanoseconds_ = nanoseconds();
    }
    const std::int64_t number = ++count_;
    calls_[std::size_t(number) % capacity] = {.number = number,
                                              .group = group,
                                              .op = op,
                                              .what = what,
                                              .data = std::move(data),
                                              .step = step_,
                                              .micro_batch = micro_batch_,
                                              .start_seconds = now()};
    return number;
}

void CommLog::end(std::int64_t number) {
    CommCall& call = calls_[std::size_t(number) % capacity];
    if (call.number == number) call.end_seconds = now();
}

CommCall CommLog::call(std::int64_t number) const {
    const CommCall& call = calls_[std::size_t(number) % capacity];
    return call.number == number ? call : CommCall{.number = number, .op = "a call", .what = "long ago"};
}

std::vector<CommCall> CommLog::last() const {
    std::vector<CommCall> calls;
    for (std::int64_t n = std::max<std::int64_t>(1, count_ + 1 - std::int64_t(capacity)); n <= count_; ++n)
        calls.push_back(call(n));
    return calls;
}

std::filesystem::path CommLog::write(int rank) const {
    if (settings.directory.empty()) return {};
    const std::filesystem::path path = settings.directory / fmt::format("calls_rank_{}.txt", rank);
    std::ofstream file(path);
    for (const CommCall& call : last())
        file << fmt::format("{:>8} {:>12.6f} {} {}\n", call.number, call.start_seconds,
                            call.end_seconds < 0 ? "  unfinished" : fmt::format("{:>12.6f}", call.end_seconds),
                            text_of(call));
    return file.flush() ? path : std::filesystem::path{};
}

}  // namespace gpas
