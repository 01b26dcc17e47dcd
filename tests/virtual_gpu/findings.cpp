#include "tests/virtual_gpu/findings.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <utility>

namespace gpas::virtual_gpu {
namespace {

constexpr std::size_t most_printed = 20;

struct Findings {
    std::mutex mutex;
    std::set<std::string> texts;
};

// Never destroyed, because threads of virtual GPUs may report until the process has ended.
Findings& findings() {
    static auto* const all = new Findings;
    return *all;
}

void fail_at_exit() {
    if (findings().texts.empty()) return;
    std::fprintf(stderr, "virtual GPU: %zu findings\n", findings().texts.size());
    std::fflush(nullptr);
    _exit(findings_exit_code);
}

}  // namespace

void report(const std::string& finding) {
    Findings& all = findings();
    const std::lock_guard lock(all.mutex);
    static const int registered = std::atexit(fail_at_exit);
    static_cast<void>(registered);
    if (!all.texts.insert(finding).second || all.texts.size() > most_printed) return;
    const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
    std::fprintf(stderr, "virtual GPU%s%s: %s\n", rank != nullptr ? " of rank " : "", rank != nullptr ? rank : "",
                 finding.c_str());
}

std::vector<std::string> take_findings() {
    Findings& all = findings();
    const std::lock_guard lock(all.mutex);
    const std::set<std::string> taken = std::exchange(all.texts, {});
    return {taken.begin(), taken.end()};
}

}  // namespace gpas::virtual_gpu
