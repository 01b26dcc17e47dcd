// The state that all MPI groups of this rank share: RankShared, and the wait with a timeout. After a timeout a rank
// asks all others in which call they wait. Only one thread may call MPI (MPI_THREAD_FUNNELED), so a rank answers such
// questions only while it waits itself.
#pragma once

#include "parallel/board/rank_shared.hpp"

#include <mpi.h>

#include <functional>
#include <list>
#include <string>
#include <utility>

namespace gpas {

class MpiJob {
public:
    // Collective over world.
    explicit MpiJob(MPI_Comm world);
    MpiJob(MPI_Comm world, RankBoard& board);  // logs on this board, which a watcher reads; the board outlives the job
    ~MpiJob();
    MpiJob(const MpiJob&) = delete;
    MpiJob& operator=(const MpiJob&) = delete;

    RankShared rank;

    // Returns when done() is true; done() is polled, and must call MPI_Test or similar. After
    // rank.waits.timeout_seconds (1.2 × that if a watcher reads the board; 0: no limit) it asks all ranks for the
    // call in which they wait, and throws Error(environment). The message names this call, the calls of the ranks that
    // answer, and the ranks that do not.
    void wait_until(const std::function<bool()>& done, std::int64_t call);
    // A wait has timed out. Destructors then must not wait for transfers or call MPI.
    bool failed() const { return failed_; }

private:
    void set_up(MPI_Comm world);
    // After a timeout: asks the other ranks and throws. answer_questions() answers other ranks that have timed out,
    // with the text of `call`, in which this rank waits.
    [[noreturn]] void give_up(std::int64_t call);
    void answer_questions(std::int64_t call);

    MPI_Comm questions_ = MPI_COMM_NULL;
    int rank_ = 0;
    int size_ = 1;
    bool failed_ = false;
    bool watched_ = false;
    std::list<std::pair<std::string, MPI_Request>>
        answers_;  // being sent; a list, because MPI reads the texts in place
};

}  // namespace gpas
