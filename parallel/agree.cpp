#include "parallel/agree.hpp"

#include "base/error.hpp"

namespace gpas {

void agree_on_error(Communicator& group, const std::optional<Error>& error, const char* what) {
    std::int64_t first = error ? group.rank() : group.size();
    group.all_reduce(&first, 1, ReduceOp::min, what);
    if (first == group.size()) return;
    std::string text = error ? error->what() : "";
    std::int64_t code = error ? std::int64_t(error->code()) : 0;
    broadcast(group, text, int(first), what);
    group.broadcast(&code, std::int64_t(sizeof code), int(first), what);
    throw AgreedError(ExitCode(code), first == 0 ? text : fmt::format("rank {}: {}", first, text));
}

}  // namespace gpas
