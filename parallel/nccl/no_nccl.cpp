// Replaces the NCCL groups in a build without NCCL.
#include "base/error.hpp"
#include "parallel/nccl/nccl_ability.hpp"
#include "parallel/nccl/nccl_communicator.hpp"

namespace gpas {

NcclAbility nccl_ability(Communicator&, GpuAddress, bool) { return {.note = "this gpas was built without NCCL"}; }

std::shared_ptr<NcclSession> make_nccl_session(Context&, RankShared&) {
    fail(ExitCode::internal, "this gpas was built without NCCL");
}

std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator>, Context&, NcclUse, const char*,
                                                     std::shared_ptr<NcclSession>) {
    fail(ExitCode::internal, "this gpas was built without NCCL");
}

}  // namespace gpas
