// What communicators share: broadcast() of a text, and the default start_exchange(), an independent receive and send.
// NCCL groups override start_exchange() with one grouped call.
#include "parallel/communicator.hpp"

#include <utility>

namespace gpas {
namespace {

class Exchange final : public Transfer {
public:
    Exchange(std::unique_ptr<Transfer> received, std::unique_ptr<Transfer> sent)
        : received_(std::move(received)), sent_(std::move(sent)) {}
    void wait() override {
        received_->wait();
        sent_->wait();
    }
    bool finished() override {
        const bool received = received_->finished();
        return sent_->finished() && received;
    }

private:
    std::unique_ptr<Transfer> received_, sent_;
};

}  // namespace

std::unique_ptr<Transfer> Communicator::start_exchange(Tensor sent, int to, Tensor received, int from,
                                                       const char* what) {
    auto receive = start_receive(received, from, what);
    auto send = start_send(sent, to, what);
    return std::make_unique<Exchange>(std::move(receive), std::move(send));
}

void broadcast(Communicator& group, std::string& text, int root, const char* what) {
    std::int64_t length = std::int64_t(text.size());
    group.broadcast(&length, std::int64_t(sizeof length), root, what);
    text.resize(std::size_t(length));
    group.broadcast(text.data(), length, root, what);
}

}  // namespace gpas
