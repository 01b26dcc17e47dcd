#include "parallel/watch/stop_signals.hpp"

#include "base/direct_output.hpp"
#include "base/error.hpp"

#include <signal.h>
#include <sys/signalfd.h>

namespace gpas {

StopSignals::StopSignals(bool take) {
    if (!take) return;
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGXCPU}) sigaddset(&set, signal);
    struct sigaction hang_up = {};
    if (sigaction(SIGHUP, nullptr, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signals_ = Descriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

void StopSignals::receive(int rank) {
    signalfd_siginfo info;
    while (signals_.get() >= 0 && read(signals_.get(), &info, sizeof info) == ssize_t(sizeof info)) {
        if (info.ssi_signo != unsigned(SIGINT)) {
            if (request_ == StopRequest::none) request_ = StopRequest::unfinished;
            continue;
        }
        if (request_ == StopRequest::stop) {
            write_stderr_now(fmt::format("gpas: rank {}: interrupted twice; the process ends now\n", rank));
            _exit(int(ExitCode::interrupted));
        }
        request_ = StopRequest::stop;
    }
}

}  // namespace gpas
