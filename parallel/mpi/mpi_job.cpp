#include "parallel/mpi/mpi_job.hpp"

#include "base/error.hpp"
#include "base/ranks_text.hpp"
#include "parallel/mpi/mpi_handle.hpp"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <vector>

namespace gpas {
namespace {

using Clock = std::chrono::steady_clock;

enum Tag { question = 1, answer = 2 };
constexpr int longest_answer_bytes = 256;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Polls 64 times without a pause, then yields the core to other threads, and after 2 ms sleeps 50 us at a time. Longer
// pauses would slow transfers down: MPI moves the parts of a large message only while the ranks poll.
void pause(std::int64_t tries, double waited_seconds) {
    if (tries < 64) return;
    if (waited_seconds < 2e-3)
        sched_yield();
    else
        std::this_thread::sleep_for(std::chrono::microseconds(50));
}

}  // namespace

MpiJob::MpiJob(MPI_Comm world) { set_up(world); }

MpiJob::MpiJob(MPI_Comm world, RankBoard& board) : rank(board), watched_(true) { set_up(world); }

void MpiJob::set_up(MPI_Comm world) {
    check_mpi(MPI_Comm_dup(world, &questions_), "MPI_Comm_dup", "the channel for questions");
    check_mpi(MPI_Comm_set_errhandler(questions_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", "a communicator");
    check_mpi(MPI_Comm_rank(questions_, &rank_), "MPI_Comm_rank", "a communicator");
    check_mpi(MPI_Comm_size(questions_, &size_), "MPI_Comm_size", "a communicator");
}

MpiJob::~MpiJob() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized == 0 && !failed_) MPI_Comm_free(&questions_);
}

void MpiJob::wait_until(const std::function<bool()>& done, std::int64_t call) {
    constexpr double answers_every_seconds = 0.01;
    const Clock::time_point start = Clock::now();
    double next_answers = 0.5;
    // A watcher can name the missing rank, so it gets time to report first.
    const double limit = rank.waits.timeout_seconds * (watched_ ? 1.2 : 1.0);
    rank.progress.wait(call);
    for (std::int64_t tries = 0; !done(); ++tries) {
        const double waited = seconds_since(start);
        if (limit > 0 && waited > limit) give_up(call);
        if (waited > next_answers) {
            answer_questions(call);
            next_answers = waited + answers_every_seconds;
        }
        pause(tries, waited);
    }
    rank.progress.waited();
}

void MpiJob::answer_questions(std::int64_t call) {
    int asked = 0;
    MPI_Status status;
    while (MPI_Iprobe(MPI_ANY_SOURCE, question, questions_, &asked, &status) == MPI_SUCCESS && asked != 0) {
        MPI_Recv(nullptr, 0, MPI_BYTE, status.MPI_SOURCE, question, questions_, MPI_STATUS_IGNORE);
        answers_.emplace_back(text_of(rank.calls.call(call)).substr(0, longest_answer_bytes), MPI_REQUEST_NULL);
        auto& [text, request] = answers_.back();
        MPI_Isend(text.data(), int(text.size()), MPI_BYTE, status.MPI_SOURCE, answer, questions_, &request);
    }
    answers_.remove_if([](auto& sent) {
        int over = 0;
        return MPI_Test(&sent.second, &over, MPI_STATUS_IGNORE) == MPI_SUCCESS && over != 0;
    });
}

void MpiJob::give_up(std::int64_t call) {
    failed_ = true;
    const std::filesystem::path file = rank.calls.write(rank.waits.directory, rank_);
    std::vector<MPI_Request> requests;
    for (int other = 0; other < size_; ++other)
        if (other != rank_) MPI_Isend(nullptr, 0, MPI_BYTE, other, question, questions_, &requests.emplace_back());

    std::map<int, std::string> answers;
    const double grace_seconds = std::clamp(rank.waits.timeout_seconds / 4.0, 0.5, 5.0);
    const Clock::time_point start = Clock::now();
    while (seconds_since(start) < grace_seconds && std::int64_t(answers.size()) < size_ - 1) {
        answer_questions(call);
        int came = 0;
        MPI_Status status;
        MPI_Iprobe(MPI_ANY_SOURCE, answer, questions_, &came, &status);
        if (came != 0) {
            char text[longest_answer_bytes];
            int length = 0;
            MPI_Get_count(&status, MPI_BYTE, &length);
            MPI_Recv(text, length, MPI_BYTE, status.MPI_SOURCE, answer, questions_, MPI_STATUS_IGNORE);
            answers[status.MPI_SOURCE] = std::string(text, std::size_t(length));
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    std::map<std::string, std::vector<int>> waiting;
    std::vector<int> silent;
    for (int other = 0; other < size_; ++other) {
        if (other == rank_) continue;
        const auto found = answers.find(other);
        if (found == answers.end())
            silent.push_back(other);
        else
            waiting[found->second].push_back(other);
    }
    std::string text = fmt::format("{} has not finished within {} s (parallel.timeout_seconds)",
                                   text_of(rank.calls.call(call)), rank.waits.timeout_seconds);
    if (!silent.empty()) text += fmt::format("; no answer from {} (ended, or busy outside MPI)", ranks_text(silent));
    for (const auto& [what, ranks] : waiting) text += fmt::format("; also waiting: {} in {}", ranks_text(ranks), what);
    if (!file.empty()) text += fmt::format("; last calls in {}", file.string());
    fail(ExitCode::environment, "{}", text);
}

}  // namespace gpas
