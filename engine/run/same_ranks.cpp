#include "engine/run/same_ranks.hpp"

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/host_name.hpp"
#include "engine/preflight/gather.hpp"
#include "engine/preflight/judge.hpp"
#include "engine/preflight/machine.hpp"
#include "io/config/describe.hpp"
#include "parallel/agree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

extern char** environ;

namespace gpas {
namespace {

using preflight::Findings;
using preflight::Hosts;

// True if the text is equal on all ranks, by one all-reduce of its hash: max(hash) == min(hash). Collective.
bool is_same_everywhere(Communicator& world, const std::string& text, const char* what) {
    const auto hash = std::int64_t(hash_of(text) >> 1);
    std::int64_t largest[2] = {hash, -hash};
    world.all_reduce(largest, 2, ReduceOp::max, what);
    return largest[0] == -largest[1];
}

// The environment variables by which libraries select other code, with other rounding.
std::string numerical_environment() {
    std::vector<std::string> found;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        for (const std::string_view name : {"ONEDNN_", "DNNL_", "CUBLAS_", "NVIDIA_TF32_OVERRIDE="})
            if (text.starts_with(name)) found.emplace_back(text);
    }
    std::sort(found.begin(), found.end());
    std::string all;
    for (const std::string& text : found) all += (all.empty() ? "" : " ") + text;
    return all.empty() ? "none of ONEDNN_*, CUBLAS_*" : all;
}

Hosts hosts_of(Communicator& world) { return preflight::gather(world, host_name(), "host names"); }

void check_environment(Communicator& world) {
    struct Compared {
        preflight::Fact fact;
        std::string value;
    };
    const std::vector<Compared> all{
        {{.what = "the program", .advice = "start the same file on every node"},
         "gpas " GPAS_VERSION ", xxHash " + preflight::program_hash()},
        {{.what = "the MPI library", .advice = "load the same module on every node"}, preflight::mpi_version()},
        {{.what = "the environment", .advice = "start every rank with the same environment variables"},
         numerical_environment()},
    };
    std::string together;
    for (const Compared& compared : all) together += compared.value + "\n";
    if (is_same_everywhere(world, together, "programs and environments")) return;
    const Hosts hosts = hosts_of(world);
    for (const Compared& compared : all) {
        const std::vector<std::string> values = preflight::gather(world, compared.value, "environments");
        const Findings findings = preflight::judge_equal(compared.fact, values, hosts);
        if (!findings.empty()) throw AgreedError(ExitCode::environment, findings.front().text);
    }
}

void check_configuration(Communicator& world, const LoadedConfig& config) {
    const std::string mine = dump_config(config.values);
    if (is_same_everywhere(world, mine, "configurations")) return;
    const Hosts hosts = hosts_of(world);
    const std::vector<preflight::Group> groups = preflight::vote(preflight::gather(world, mine, "configurations"));
    throw AgreedError(
        ExitCode::usage,
        fmt::format("{}: {}; compared with {}{}; start every rank with the same files and overrides",
                    preflight::ranks_text(groups[1].ranks, hosts),
                    preflight::config_differences(groups[1].value, groups[0].value),
                    preflight::ranks_text(groups[0].ranks, hosts),
                    preflight::is_tie(groups) ? " (both groups are equally large, so there is no majority)" : ""));
}

}  // namespace

LoadedConfig load_on_all_ranks(Communicator& world, const std::function<LoadedConfig()>& load) {
    const LoadedConfig config = agree(world, load);
    if (world.size() == 1) return config;
    check_configuration(world, config);
    check_environment(world);
    return config;
}

void check_same_data(Communicator& world, const std::string& dataset_fingerprint,
                     const std::string& tokenizer_fingerprint) {
    const std::string mine =
        fmt::format("fingerprint {}{}", dataset_fingerprint,
                    tokenizer_fingerprint.empty() ? "" : ", of the tokenizer " + tokenizer_fingerprint);
    if (world.size() == 1 || is_same_everywhere(world, mine, "fingerprints of the data")) return;
    const std::vector<std::string> all = preflight::gather(world, mine, "fingerprints of the data");
    const Findings findings = preflight::judge_equal(
        {.what = "what the token files and the tokenizer hold",
         .advice = "every node must read the same files: compare data.train, data.valid and data.tokenizer there"},
        all, hosts_of(world));
    throw AgreedError(ExitCode::bad_file, findings.front().text);
}

}  // namespace gpas
