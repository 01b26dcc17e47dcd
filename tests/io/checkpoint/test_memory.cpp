// Memory that is short while a checkpoint is read says nothing about the checkpoint: it must not read as damage, after which
// an older one would be taken.
#include "base/error.hpp"
#include "base/error_of.hpp"
#include "tests/io/checkpoint/checkpoint_support.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstdlib>
#include <functional>
#include <set>

namespace gpas::checkpoint_tests {
namespace {

constexpr int passed_over = 99;

std::int64_t address_space_bytes() {
    std::int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * sysconf(_SC_PAGESIZE);
}

void limit_to(std::int64_t bytes) {
    const rlimit space{rlim_t(bytes), RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &space);
}

// What body() ends with in a process that may allocate only this many more bytes.
int code_with_spare(std::int64_t spare_bytes, const std::function<int()>& body) {
    const pid_t child = fork();
    if (child == 0) {
        for (const int signal : {SIGABRT, SIGSEGV, SIGBUS}) ::signal(signal, SIG_DFL);  // MPI's handlers allocate
        alarm(20);
        const std::int64_t bytes_now = address_space_bytes();
        limit_to(bytes_now);
        void* volatile taken = nullptr;
        for (std::size_t bytes = 1 << 20; bytes >= 1 << 12; bytes /= 4)  // what was freed before is used up
            do taken = std::malloc(bytes);
            while (taken != nullptr);
        limit_to(bytes_now + spare_bytes);
        int code = 1;
        try {
            code = body();
        } catch (const std::exception& error) {
            code = int(gpas::error_of(error).code());
        }
        _exit(code);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(Memory, ThatIsShortWhileReadingIsNeverTakenForDamage) {
    ScratchDirectory scratch;
    const auto self = make_self_communicator();
    const std::vector<Named> tensors{{"weights/wide", {3, 1000001}}, {"weights/long", {2000, 700}}};
    State state = whole_state(tensors, true);
    save_checkpoint(*self, scratch.get(), sample_header(100), state.parts);
    const path file = save_checkpoint(*self, scratch.get(), sample_header(200), state.parts);
    const auto resume = [&] {
        std::vector<std::string> notes;
        const auto newest = newest_complete(scratch.get(), &notes);
        if (!newest || *newest != file || !notes.empty()) return passed_over;
        load_checkpoint(*self, *newest, state.parts);
        return verify(*newest).intact() ? 0 : passed_over;
    };
    std::set<int> codes;
    // Below that libhdf5 itself can crash; a run makes sure of more before it reads (require_host_headroom).
    for (std::int64_t spare_kib = 1 << 10; spare_kib <= 9 << 10; spare_kib += 512)
        codes.insert(code_with_spare(spare_kib << 10, resume));
    codes.insert(code_with_spare(std::int64_t(1) << 30, resume));
    EXPECT_EQ(codes, (std::set<int>{0, int(ExitCode::environment)}));
}

}  // namespace
}  // namespace gpas::checkpoint_tests
