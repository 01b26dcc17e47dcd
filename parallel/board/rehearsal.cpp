#include "parallel/board/rehearsal.hpp"

#include "base/direct_output.hpp"
#include "base/error.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <sstream>
#include <thread>

namespace gpas {
namespace {

const std::map<std::string, Rehearsal::Action> actions = {
    {"kill", Rehearsal::Action::kill},   {"stop", Rehearsal::Action::stop},          {"exit", Rehearsal::Action::exit},
    {"crash", Rehearsal::Action::crash}, {"spin", Rehearsal::Action::spin},          {"slow", Rehearsal::Action::slow},
    {"nan", Rehearsal::Action::nan},     {"spike", Rehearsal::Action::spike},        {"flip", Rehearsal::Action::flip},
    {"set", Rehearsal::Action::set},     {"transient", Rehearsal::Action::transient}};

[[noreturn]] void refuse(const std::string& text, const std::string& word) {
    fail(ExitCode::usage,
         "GPAS_REHEARSE=\"{}\": found '{}', expected one of kill, stop, exit, crash, spin, slow, nan, spike, flip, "
         "set, transient, then rank=, phase=, step=, attempt=, after=, seconds=, factor=, tensor=",
         text, word);
}

bool is_of_numbers(Rehearsal::Action action) { return action >= Rehearsal::Action::nan; }

}  // namespace

Rehearsal::Rehearsal(const std::string& text) : text_(text) {
    std::istringstream words(text);
    std::string word;
    words >> word;
    const auto action = actions.find(word);
    if (action == actions.end()) refuse(text, word);
    action_ = action->second;
    while (words >> word) {
        const std::size_t equals = word.find('=');
        const std::string key = word.substr(0, equals);
        const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
        if (value.empty()) refuse(text, word);
        char* end = nullptr;
        const double number = std::strtod(value.c_str(), &end);
        if (key != "phase" && key != "tensor" && *end != '\0') refuse(text, word);
        if (key == "phase")
            phase_ = value;
        else if (key == "tensor")
            tensor_ = value;
        else if (key == "rank")
            rank_ = int(number);
        else if (key == "step")
            step_ = std::int64_t(number);
        else if (key == "attempt")
            attempt_ = std::int64_t(number);
        else if (key == "after")
            after_ = std::int64_t(number);
        else if (key == "seconds")
            seconds_ = number;
        else if (key == "factor")
            factor_ = number;
        else
            refuse(text, word);
    }
}

std::shared_ptr<Rehearsal> Rehearsal::of_environment(std::int64_t attempt) {
    const char* text = std::getenv("GPAS_REHEARSE");
    if (text == nullptr || *text == '\0') return nullptr;
    auto rehearsal = std::make_shared<Rehearsal>(text);
    return rehearsal->attempt_ == attempt ? rehearsal : nullptr;
}

bool Rehearsal::is_here(const RankBoard& board) const {
    if (rank_ >= 0 && board.rank != rank_) return false;
    if (step_ >= 0 && board.step != step_) return false;
    if (phase_ == "collective") return board.waiting > 0;
    return phase_.empty() || (board.waiting == 0 && phase_ == name_of(board.phase));
}

void Rehearsal::at(const RankBoard& board) {
    if (over_ || is_of_numbers(action_) || !is_here(board) || after_-- > 0) return;
    over_ = action_ != Action::slow;
    if (over_) write_stderr_now(fmt::format("gpas: rehearsal: {} on rank {}\n", text_, board.rank.load()));
    switch (action_) {
        case Action::kill: kill(getpid(), SIGKILL); break;
        case Action::stop: kill(getpid(), SIGSTOP); break;
        case Action::exit: std::exit(1);
        case Action::crash: raise(SIGSEGV); break;
        case Action::spin:
            for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
        case Action::slow: std::this_thread::sleep_for(std::chrono::duration<double>(seconds_)); break;
        default: break;
    }
}

bool Rehearsal::wants(Action action, const RankBoard& board, std::int64_t step) {
    if (over_ || action != action_ || (rank_ >= 0 && board.rank != rank_) || (step_ >= 0 && step != step_))
        return false;
    over_ = true;
    write_stderr_now(fmt::format("gpas: rehearsal: {} on rank {}\n", text_, board.rank.load()));
    return true;
}

}  // namespace gpas
