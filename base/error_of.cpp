#include "base/error_of.hpp"

#include "base/cgroup.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <new>
#include <system_error>

namespace gpas {
namespace {

double gibibytes(double bytes) { return bytes / double(std::int64_t(1) << 30); }

std::string limits_text() {
    std::string text;
    struct rlimit space{};
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
        text += fmt::format("; ulimit -v allows this process {:.2f} GiB", gibibytes(double(space.rlim_cur)));
    if (const auto limit = cgroup_memory_limit())
        text += fmt::format("; the cgroup's limit is {:.2f} GiB", gibibytes(double(*limit)));
    return text;
}

}  // namespace

std::string host_memory_short(const std::string& what) {
    return fmt::format(
        "host memory is short{}{}{}; use a smaller micro-batch, a smaller checkpoint.buffer_gib or more nodes, or raise "
        "the limit",
        what.empty() ? "" : ": ", what, limits_text());
}

void require_host_headroom(std::int64_t bytes) {
    void* memory = mmap(nullptr, std::size_t(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail(ExitCode::environment, "{}",
             host_memory_short(fmt::format("{:.2f} GiB for libraries, in addition to what the run has allocated",
                                           gibibytes(double(bytes)))));
    munmap(memory, std::size_t(bytes));
}

Error error_of(const std::exception& thrown) {
    if (const auto* error = dynamic_cast<const Error*>(&thrown)) return *error;
    if (dynamic_cast<const std::bad_alloc*>(&thrown) != nullptr)
        return Error(ExitCode::environment, host_memory_short());
    if (const auto* error = dynamic_cast<const std::system_error*>(&thrown)) {
        if (error->code().value() == ENOMEM) return Error(ExitCode::environment, host_memory_short(error->what()));
        if (error->code().value() == EAGAIN)  // from std::thread
            return Error(ExitCode::environment,
                         fmt::format("a thread cannot be started: memory is short, or the limit on processes "
                                     "(ulimit -u, pids.max of the cgroup) is reached: {}{}",
                                     error->what(), limits_text()));
        return Error(ExitCode::environment, error->what());
    }
    return Error(ExitCode::internal, thrown.what());
}

}  // namespace gpas
