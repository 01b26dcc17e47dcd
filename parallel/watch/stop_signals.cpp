#include "parallel/watch/stop_signals.hpp"

#include "kernels/error.hpp"

#include <signal.h>
#include <sys/signalfd.h>

#include <cstdio>

namespace gpas {

StopSignals::StopSignals(bool take) {
    if (!take) return;
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) sigaddset(&set, signal);
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
            std::fprintf(stderr, "gpas: rank %d: interrupted twice, ends now\n", rank);
            _exit(int(ExitCode::interrupted));
        }
        request_ = StopRequest::stop;
    }
}

}  // namespace gpas
