#include "parallel/watch/stack_trace.hpp"

#include <fmt/format.h>

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <thread>

namespace gpas {
namespace {

int stack_signal() { return SIGRTMIN + 5; }
constexpr std::array crash_signals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

// The board of this process. A global variable, because signal handlers get no argument of the program.
std::atomic<RankBoard*> answering = nullptr;
std::array<struct sigaction, crash_signals.size()> earlier_handlers;

// Not inlined, so that the number of the handler's own frames is fixed.
[[gnu::noinline]] void write_stack(RankBoard& board) {
    constexpr int own_frames = 3;  // this function, the handler, and the kernel's signal trampoline
    std::array<void*, RankBoard::frames_kept + own_frames> frames;
    const int count = std::max(0, backtrace(frames.data(), int(frames.size())) - own_frames);
    for (int i = 0; i < count; ++i) board.frames[std::size_t(i)] = frames[std::size_t(i + own_frames)];
    board.frame_count = count;
}

// A forked child inherits the variable, but is not the rank.
bool is_ours(const RankBoard* board) { return board != nullptr && board->pid == getpid(); }

void answer(int) {
    const int kept = errno;
    if (RankBoard* board = answering) {
        write_stack(*board);
        // The job is ending. This process may have been stopped for a while, and must not write any more.
        if (board->doomed) pause();
    }
    errno = kept;
}

// Restores the earlier handler. A fault occurs again when this handler returns, and then reaches the earlier one. A
// signal that a process sent does not occur again, so it is raised again.
void crash(int signal, siginfo_t* info, void*) {
    for (std::size_t i = 0; i < crash_signals.size(); ++i)
        if (crash_signals[i] == signal) sigaction(signal, &earlier_handlers[i], nullptr);
    RankBoard* board = answering;
    if (is_ours(board)) {
        write_stack(*board);
        board->signal = signal;
        board->state = RankState::crashed;
    }
    if (info->si_code <= 0) raise(signal);
}

void note_exit() {
    RankBoard* board = answering;
    if (is_ours(board) && board->state == RankState::running) board->state = RankState::exited;
}

struct Mapping {
    std::uintptr_t begin = 0, end = 0, offset = 0;
    std::string file;
};

std::vector<Mapping> mappings_of(pid_t pid) {
    std::ifstream maps(fmt::format("/proc/{}/maps", pid));
    std::vector<Mapping> all;
    for (std::string line; std::getline(maps, line);) {
        Mapping mapping;
        char dash = 0;
        std::string rights, device, node;
        std::istringstream words(line);
        words >> std::hex >> mapping.begin >> dash >> mapping.end >> rights >> mapping.offset >> device >> node >>
            mapping.file;
        if (!mapping.file.empty()) all.push_back(mapping);
    }
    return all;
}

// Translates an address of the other process to this process: the same offset in the same file.
std::optional<std::uintptr_t> here(const std::vector<Mapping>& own, const Mapping& theirs, std::uintptr_t address) {
    const std::uintptr_t place = address - theirs.begin + theirs.offset;
    for (const Mapping& mapping : own)
        if (mapping.file == theirs.file && place >= mapping.offset &&
            place < mapping.offset + (mapping.end - mapping.begin))
            return place - mapping.offset + mapping.begin;
    return std::nullopt;
}

std::string name_at(std::uintptr_t address) {
    Dl_info info = {};
    if (dladdr(reinterpret_cast<void*>(address), &info) == 0 || info.dli_sname == nullptr) return {};
    int status = -1;
    const std::unique_ptr<char, decltype(&std::free)> readable(
        abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), &std::free);
    return status == 0 ? readable.get() : info.dli_sname;
}

}  // namespace

StackAnswers::StackAnswers(RankBoard& board) {
    static const bool registered = std::atexit(note_exit) == 0;
    (void)registered;
    void* warm[4];
    backtrace(warm, 4);  // the first call loads a library, which must not happen in a signal handler
    answering = &board;
    struct sigaction action = {};
    action.sa_handler = answer;
    action.sa_flags = SA_RESTART;
    sigaction(stack_signal(), &action, nullptr);
}

StackAnswers::~StackAnswers() { answering = nullptr; }

void StackAnswers::watch_crashes() {
    struct sigaction action = {};
    action.sa_sigaction = crash;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    for (std::size_t i = 0; i < crash_signals.size(); ++i) sigaction(crash_signals[i], &action, &earlier_handlers[i]);
}

bool ask_for_stack(RankBoard& board, bool doom, double seconds) {
    if (process_start_ticks(board.pid) != board.process_start) return board.frame_count > 0;
    if (board.state == RankState::crashed) return board.frame_count > 0;  // keep the stack of the crash
    board.frame_count = 0;
    if (doom) board.doomed = true;
    if (syscall(SYS_tgkill, board.pid, board.pid, stack_signal()) != 0) return false;
    if (doom) kill(board.pid, SIGCONT);
    for (double waited = 0.0; board.frame_count == 0 && waited < seconds; waited += 0.001)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return board.frame_count > 0;
}

std::vector<std::string> stack_lines(const RankBoard& board) {
    const std::vector<Mapping> theirs = mappings_of(board.pid);
    const std::vector<Mapping> own = mappings_of(getpid());
    std::vector<std::string> lines;
    for (std::int32_t i = 0; i < board.frame_count; ++i) {
        const auto address = reinterpret_cast<std::uintptr_t>(board.frames[std::size_t(i)].load());
        std::string line = fmt::format("{:#x}", address);
        for (const Mapping& mapping : theirs) {
            if (address < mapping.begin || address >= mapping.end) continue;
            const std::optional<std::uintptr_t> place = here(own, mapping, address);
            const std::string name = place ? name_at(*place - 1) : "";  // -1: the call, not the return address after it
            const std::string file = mapping.file.substr(mapping.file.rfind('/') + 1);
            line = name.empty() ? fmt::format("{} + {:#x}", file, address - mapping.begin + mapping.offset)
                                : fmt::format("{} ({})", name, file);
        }
        lines.push_back(line);
    }
    return lines;
}

}  // namespace gpas
