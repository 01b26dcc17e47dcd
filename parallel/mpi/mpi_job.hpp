// What all MPI groups of this rank share: the log, and patience. Only one thread may call MPI, so a rank answers the
// others' questions while it waits itself.
#pragma once

#include "parallel/comm_log.hpp"

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
    MpiJob(MPI_Comm world, RankBoard& board);  // that a watcher looks at
    ~MpiJob();
    MpiJob(const MpiJob&) = delete;
    MpiJob& operator=(const MpiJob&) = delete;

    CommLog log;

    // Returns when done() is true. After log.settings.timeout_seconds it asks every rank what it waits in and throws
    // Error(environment): one line that names this call, those who answer with theirs, and those who do not.
    void wait_until(const std::function<bool()>& done, std::int64_t call);
    // A wait has been given up: nothing may wait for transfers any more.
    bool failed() const { return failed_; }

private:
    void set_up(MPI_Comm world);
    [[noreturn]] void give_up(std::int64_t call);
    void answer_questions(std::int64_t call);

    MPI_Comm questions_ = MPI_COMM_NULL;
    int rank_ = 0;
    int size_ = 1;
    bool failed_ = false;
    bool watched_ = false;
    std::list<std::pair<std::string, MPI_Request>> answers_;  // on their way
};

}  // namespace gpas
