#include "io/config/compare.hpp"

#include "io/config/architecture.hpp"
#include "io/config/no_effect.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gpas {
namespace {

// `run` with 0 and -1 replaced by the numbers they stand for, and keys without effect set to their defaults.
RunConfig spelled_out(const RunConfig& run) {
    RunConfig result = without_ineffective_keys(run);
    ModelConfig& model = result.model;
    if (model.kv_heads == 0) model.kv_heads = model.heads;
    if (model.head_dim == 0) model.head_dim = model.hidden_size / model.heads;
    if (mixes_norms(model.architecture)) model.mix_post_layers = post_layers_of_mix(model);
    if (!result.data.valid.empty()) result.data.valid_fraction = 0.0;  // no samples are held back
    return result;
}

}  // namespace

std::vector<KeyChange> changed_keys(const RunConfig& before, const RunConfig& now) {
    const RunConfig a = spelled_out(before);
    const RunConfig b = spelled_out(now);
    std::vector<KeyChange> changes;
    for (const KeySpec& key : config_keys())
        if (format_key(key, a) != format_key(key, b) && format_key(key, before) != format_key(key, now))
            changes.push_back({&key, format_key(key, a), format_key(key, b)});
    return changes;
}

std::vector<KeyChange> with_roles(const std::vector<KeyChange>& changes, std::initializer_list<KeyRole> roles) {
    std::vector<KeyChange> chosen;
    std::copy_if(changes.begin(), changes.end(), std::back_inserter(chosen), [&](const KeyChange& change) {
        return std::find(roles.begin(), roles.end(), change.key->role) != roles.end();
    });
    return chosen;
}

std::string changes_text(const std::vector<KeyChange>& changes) {
    std::string text;
    for (const KeyChange& change : changes)
        text += fmt::format("{}{} was {} and is now {}", text.empty() ? "" : "; ", change.key->name, change.before,
                            change.now);
    return text;
}

}  // namespace gpas
