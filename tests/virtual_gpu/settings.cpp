#include "tests/virtual_gpu/settings.hpp"

#include <cstdlib>
#include <optional>
#include <string>

namespace gpas::virtual_gpu {
namespace {

std::string text(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}
int number(const char* name, int otherwise) {
    const std::string value = text(name);
    return value.empty() ? otherwise : std::atoi(value.c_str());
}

Settings from_environment() {
    Settings found;
    const std::string scheduler = text("GPAS_VIRTUAL_GPU_SCHEDULER");
    if (scheduler == "earliest") found.scheduler = Scheduler::earliest;
    if (scheduler == "latest") found.scheduler = Scheduler::latest;
    found.seed = unsigned(number("GPAS_VIRTUAL_GPU_SEED", int(found.seed)));
    found.gpus = number("GPAS_VIRTUAL_GPUS", found.gpus);
    found.free_mib = number("GPAS_VIRTUAL_GPU_FREE_MIB", found.free_mib);
    found.queues = number("CUDA_DEVICE_MAX_CONNECTIONS", found.queues);
    found.multiprocessors = number("GPAS_VIRTUAL_GPU_MULTIPROCESSORS", found.multiprocessors);
    found.launch_queue = number("GPAS_VIRTUAL_GPU_LAUNCH_QUEUE", found.launch_queue);
    found.lazy_modules = text("CUDA_MODULE_LOADING") != "EAGER";
    found.hang_seconds = number("GPAS_VIRTUAL_GPU_HANG_SECONDS", int(found.hang_seconds));
    found.nccl_version = number("GPAS_VIRTUAL_NCCL_VERSION", found.nccl_version);
    found.dead_peers_are_errors = text("GPAS_VIRTUAL_NCCL_DEAD_PEER") == "error";
    found.slow_gpu = number("GPAS_VIRTUAL_GPU_SLOW", found.slow_gpu);
    found.multi_rank_gpu = text("NCCL_MULTI_RANK_GPU_ENABLE") == "1";
    return found;
}

std::optional<Settings>& of_tests() {
    static std::optional<Settings> set;
    return set;
}

}  // namespace

Settings settings() { return of_tests() ? *of_tests() : from_environment(); }
void use(const Settings& settings) { of_tests() = settings; }

}  // namespace gpas::virtual_gpu
