// Threads that the memory of the process has no room for.
#include "base/error.hpp"
#include "engine/run/threads.hpp"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gpas {
namespace {

TEST(Threads, that_cannot_be_started_are_an_error_of_the_environment) {
    const pid_t child = fork();
    if (child == 0) {
        const rlimit space{std::size_t(1) << 20, std::size_t(1) << 20};  // less than is taken: no stack can be added
        setrlimit(RLIMIT_AS, &space);
        try {
            start_threads(64);
            _exit(0);
        } catch (const Error& error) {
            _exit(int(error.code()));
        }
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), int(ExitCode::environment));
}

}  // namespace
}  // namespace gpas
