#include "io/checkpoint/agreement.hpp"

#include "kernels/error.hpp"

namespace gpas {

void agree(Communicator& group, const std::optional<Error>& mine, const char* what) {
    std::int64_t failed = mine ? group.rank() : group.size();
    group.all_reduce(&failed, 1, ReduceOp::min, what);
    if (failed == group.size()) return;
    std::string message = mine ? mine->what() : "";
    std::int64_t code = mine ? std::int64_t(mine->code()) : 0;
    broadcast(group, message, int(failed), what);
    group.broadcast(&code, sizeof code, int(failed), what);
    if (group.size() > 1) message += fmt::format(" (rank {})", failed);
    throw AgreedError(ExitCode(code), message);  // so that one rank tells
}

}  // namespace gpas
