// Starts threads that receive no signals.
#pragma once

#include <csignal>

#include <pthread.h>

namespace gpas {

// Blocks all signals of the calling thread while the object exists. A thread that is started meanwhile inherits the
// mask, so that signals are delivered to the training thread. The destructor restores the earlier mask.
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
