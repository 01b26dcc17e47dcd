#include "parallel/board/rank_board.hpp"

#include "base/fixed_text.hpp"
#include "base/host_name.hpp"
#include "parallel/board/call_log.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>

namespace gpas {

const char* name_of(Phase phase) {
    switch (phase) {
        case Phase::start_up: return "start-up";
        case Phase::data: return "data";
        case Phase::forward: return "forward";
        case Phase::backward: return "backward";
        case Phase::reduction: return "reduction";
        case Phase::optimizer: return "optimizer";
        case Phase::evaluation: return "evaluation";
        case Phase::save: return "save";
        case Phase::end: return "end";
    }
    return "unknown";
}

double mark_progress(RankBoard& board) {
    const std::int64_t nanoseconds = monotonic_nanoseconds();
    board.moved_nanoseconds.store(nanoseconds, std::memory_order_relaxed);
    return double(nanoseconds - board.made_nanoseconds) * 1e-9;
}

void mark_gpu_failed(RankBoard& board, const std::string& why) {
    copy_text(board.gpu_failure, why);
    board.gpu_failed.store(true, std::memory_order_release);
}

void add_step(RankBoard& board, const PhaseSeconds& seconds) {
    board.data_seconds = board.data_seconds + seconds.data;
    board.compute_seconds = board.compute_seconds + seconds.compute;
    board.communication_seconds = board.communication_seconds + seconds.communication;
    board.optimizer_seconds = board.optimizer_seconds + seconds.optimizer;
    board.steps = board.steps + 1;
}

std::int64_t monotonic_nanoseconds() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

double seconds_since(std::int64_t nanoseconds) { return double(monotonic_nanoseconds() - nanoseconds) * 1e-9; }

std::int64_t process_start_ticks(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const std::size_t name_end = text.rfind(')');  // field 2 may contain anything; starttime is field 22, 20 after it
    if (name_end == std::string::npos) return 0;
    std::size_t at = name_end + 1;
    for (int field = 0; field < 19; ++field) at = text.find(' ', at + 1);
    return at == std::string::npos ? 0 : std::atoll(text.c_str() + at);
}

void open_board(RankBoard& board, int rank, int size) {
    board.rank = rank;
    board.size = size;
    board.pid = getpid();
    board.process_start = process_start_ticks(board.pid);
    copy_text(board.host, host_name());
    board.made_nanoseconds = monotonic_nanoseconds();
    board.moved_nanoseconds = board.made_nanoseconds;
    board.heartbeat_nanoseconds = board.made_nanoseconds;
    board.magic.store(board_magic, std::memory_order_release);
}

RankStatus read_status(const RankBoard& board, std::int64_t now_nanoseconds) {
    const auto since = [&](std::int64_t then) { return std::max(0.0, double(now_nanoseconds - then) * 1e-9); };
    RankStatus status{.rank = board.rank,
                      .stage = board.stage,
                      .pid = board.pid,
                      .state = board.state,
                      .signal = board.signal,
                      .phase = board.phase,
                      .step = board.step,
                      .micro_batch = board.micro_batch,
                      .calls = board.call_count,
                      .still_seconds = since(board.moved_nanoseconds),
                      .silent_seconds = since(board.heartbeat_nanoseconds),
                      .steps = board.steps};
    status.seconds = {.data = board.data_seconds,
                      .compute = board.compute_seconds,
                      .communication = board.communication_seconds,
                      .optimizer = board.optimizer_seconds};
    copy_text(status.host, text_in(board.host));
    const std::int64_t on_gpu = board.gpu_call;
    if (const std::int64_t waiting = board.waiting; waiting > 0)
        copy_text(status.call, text_of(read_call(board, waiting)));
    else if (on_gpu > 0)
        copy_text(status.call, text_of(read_call(board, on_gpu)));
    return status;
}

std::string text_of(const RankStatus& status) {
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
    if (status.step >= 0) add(fmt::format("step {}", status.step));
    if (status.micro_batch >= 0) add(fmt::format("micro-batch {}", status.micro_batch));
    add(name_of(status.phase));
    if (status.call[0] != '\0') add(fmt::format("waiting {:.1f} s in {}", status.still_seconds, status.call));
    return text;
}

}  // namespace gpas
