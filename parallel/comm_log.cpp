#include "parallel/comm_log.hpp"

#include "base/fixed_text.hpp"
#include "parallel/watch/rehearsal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

namespace gpas {
namespace {

CallRecord& place_of(RankBoard& board, std::int64_t number) {
    return board.calls[std::size_t(number) % RankBoard::calls_kept];
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

CommCall read_call(const RankBoard& board, std::int64_t number) {
    const CallRecord& record = board.calls[std::size_t(number) % RankBoard::calls_kept];
    CommCall call;
    if (record.number == number)
        call = {.number = number,
                .group = text_in(record.group),
                .op = text_in(record.op),
                .what = text_in(record.what),
                .data = text_in(record.data),
                .step = record.step,
                .micro_batch = record.micro_batch,
                .start_seconds = record.start_seconds,
                .end_seconds = record.end_seconds};
    if (record.number != number) return {.number = number, .op = "a call", .what = "long ago"};
    return call;
}

std::vector<CommCall> read_calls(const RankBoard& board) {
    std::vector<CommCall> calls;
    const std::int64_t count = board.call_count;
    for (std::int64_t n = std::max<std::int64_t>(1, count + 1 - std::int64_t(RankBoard::calls_kept)); n <= count; ++n)
        calls.push_back(read_call(board, n));
    return calls;
}

CommLog::CommLog() : own_(std::make_unique<RankBoard>()), board_(own_.get()) {
    board_->made_nanoseconds = monotonic_nanoseconds();
}

CommLog::CommLog(RankBoard& board) : board_(&board) {}

double CommLog::now() {
    const std::int64_t nanoseconds = monotonic_nanoseconds();
    board_->moved_nanoseconds.store(nanoseconds, std::memory_order_relaxed);
    return double(nanoseconds - board_->made_nanoseconds) * 1e-9;
}

void CommLog::enter(Phase phase, std::int64_t step, std::int64_t micro_batch) {
    now();
    board_->phase.store(phase, std::memory_order_relaxed);
    set_place(step, micro_batch);
    if (rehearsal) rehearsal->at(*board_);
}

void CommLog::enter(Phase phase) { enter(phase, board_->step.load(std::memory_order_relaxed)); }

void CommLog::set_place(std::int64_t step, std::int64_t micro_batch) {
    board_->step.store(step, std::memory_order_relaxed);
    board_->micro_batch.store(micro_batch, std::memory_order_relaxed);
}

std::int64_t CommLog::begin(const std::string& group, const char* op, const char* what, const std::string& data) {
    const std::int64_t number = board_->call_count.load(std::memory_order_relaxed) + 1;
    CallRecord& record = place_of(*board_, number);
    record.number.exchange(0, std::memory_order_acq_rel);  // before anything else of it changes
    record.step = board_->step.load(std::memory_order_relaxed);
    record.micro_batch = board_->micro_batch.load(std::memory_order_relaxed);
    record.start_seconds = now();
    record.end_seconds.store(-1.0, std::memory_order_relaxed);
    copy_text(record.group, group);
    copy_text(record.op, op);
    copy_text(record.what, what);
    copy_text(record.data, data);
    record.number.store(number, std::memory_order_release);
    board_->call_count.store(number, std::memory_order_release);
    return number;
}

void CommLog::end(std::int64_t number) {
    CallRecord& record = place_of(*board_, number);
    if (record.number.load(std::memory_order_relaxed) == number)
        record.end_seconds.store(now(), std::memory_order_relaxed);
}

void CommLog::wait(std::int64_t number) {
    now();
    board_->waiting.store(number, std::memory_order_relaxed);
    if (rehearsal) rehearsal->at(*board_);
}

void CommLog::waited() {
    now();
    board_->waiting.store(0, std::memory_order_relaxed);
}

void CommLog::set_gpu_call(std::int64_t number) { board_->gpu_call.store(number, std::memory_order_relaxed); }

void CommLog::gpu_failed(const std::string& why) {
    copy_text(board_->gpu_trouble, why);
    board_->gpu_failed.store(true, std::memory_order_release);
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
