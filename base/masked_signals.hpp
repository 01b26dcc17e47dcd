// Threads that take no signals.
#pragma once

#include <csignal>

#include <pthread.h>

namespace gpas {

// Blocks all signals of the calling thread while it lives. A thread that is started meanwhile inherits the mask, so that
// signals reach the thread that trains.
class MaskedSignals {
public:
    MaskedSignals() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~MaskedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    MaskedSignals(const MaskedSignals&) = delete;
    MaskedSignals& operator=(const MaskedSignals&) = delete;

private:
    sigset_t before_;
};

}  // namespace gpas
