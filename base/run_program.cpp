#include "base/run_program.hpp"

#include "base/descriptor.hpp"
#include "base/error.hpp"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

extern char** environ;

namespace gpas {
namespace {

// A file in memory: unlike a pipe it takes any amount of text before somebody reads it.
Descriptor memory_file(const char* name) {
    Descriptor file(memfd_create(name, MFD_CLOEXEC));
    if (!file) fail(ExitCode::environment, "memfd_create: {}", std::strerror(errno));
    return file;
}

void write_all(int file, const std::string& text) {
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t written = write(file, text.data() + done, text.size() - done);
        if (written < 0 && errno != EINTR) fail(ExitCode::environment, "a file in memory: {}", std::strerror(errno));
        if (written > 0) done += std::size_t(written);
    }
    lseek(file, 0, SEEK_SET);
}

std::string read_all(int file) {
    std::string text;
    char block[4096];
    lseek(file, 0, SEEK_SET);
    for (ssize_t count = 0; (count = read(file, block, sizeof(block))) > 0;) text.append(block, std::size_t(count));
    return text;
}

int wait_for(pid_t program) {
    int status = 0;
    while (waitpid(program, &status, 0) < 0)
        if (errno != EINTR) fail(ExitCode::environment, "waitpid: {}", std::strerror(errno));
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& arguments, const std::string& input) {
    const Descriptor in = memory_file("input"), out = memory_file("output"), errors = memory_file("errors");
    write_all(in.get(), input);
    std::vector<char*> words;
    for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors.get(), STDERR_FILENO);
    pid_t program = 0;
    const int error = posix_spawnp(&program, words[0], &actions, nullptr, words.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) fail(ExitCode::environment, "{} cannot be started: {}", arguments[0], std::strerror(error));
    const int exit_code = wait_for(program);
    return {.exit_code = exit_code, .output = read_all(out.get()), .errors = read_all(errors.get())};
}

}  // namespace gpas
