#include "engine/run/same_run.hpp"

#include "base/error.hpp"
#include "engine/run/run_state.hpp"
#include "io/checkpoint/branch.hpp"
#include "io/config/check.hpp"
#include "io/config/compare.hpp"
#include "io/config/describe.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gpas {
namespace {

RunConfig config_in(const CheckpointHeader& header, const std::filesystem::path& file) {
    return stored_config(header.config, file.string(), header.software);
}

bool has_role(const KeyChange& change, std::initializer_list<KeyRole> roles) {
    return !with_roles({change}, roles).empty();
}

void append(std::string& text, const std::string& more) { text += (text.empty() ? "" : "; ") + more; }

std::vector<KeyChange> of_section(const std::vector<KeyChange>& changes, std::string_view section) {
    std::vector<KeyChange> chosen;
    std::copy_if(changes.begin(), changes.end(), std::back_inserter(chosen),
                 [&](const KeyChange& change) { return change.key->section == section; });
    return chosen;
}

// Compares the content of the token files that the run reads, and names the keys of those files.
std::string changed_tokens(const CheckpointHeader& header, const RunIdentity& identity,
                           const std::vector<KeyChange>& changes) {
    if (header.dataset_fingerprint == identity.dataset_fingerprint) return {};
    std::string text;
    for (const KeyChange& change : with_roles(changes, {KeyRole::file_content}))
        if (change.key->name != "data.tokenizer") append(text, changes_text({change}));
    // If a key that selects the tokens has changed, its own line already explains the difference.
    if (of_section(with_roles(changes, {KeyRole::run_math}), "data").empty())
        append(text, fmt::format(
                         "the token files of data.train and data.valid hold different tokens (their fingerprint was {} "
                         "and is now {})",
                         header.dataset_fingerprint, identity.dataset_fingerprint));
    return text;
}

// A tokenizer is compared only if both runs name one: training reads the tokens only.
bool is_other_tokenizer(const CheckpointHeader& header, const std::string& fingerprint) {
    return !header.tokenizer_fingerprint.empty() && !fingerprint.empty() && header.tokenizer_fingerprint != fingerprint;
}

std::string changed_tokenizer(const CheckpointHeader& header, const RunIdentity& identity,
                              const std::vector<KeyChange>& changes) {
    if (!is_other_tokenizer(header, identity.tokenizer_fingerprint)) return {};
    std::string text =
        fmt::format("the file of data.tokenizer is a different one (its fingerprint was {} and is now {})",
                    header.tokenizer_fingerprint, identity.tokenizer_fingerprint);
    for (const KeyChange& change : changes)
        if (change.key->name == "data.tokenizer") append(text, changes_text({change}));
    return text;
}

std::vector<std::string> lines_of(const std::vector<KeyChange>& changes) {
    if (changes.empty()) return {};
    return {"changed since the checkpoint: " + changes_text(changes)};
}

bool is_for_training_only(const KeySpec& key) {
    const auto& sections = config_sections();
    return std::any_of(sections.begin(), sections.end(), [&](const SectionSpec& section) {
        return section.name == key.section && section.training_only;
    });
}

}  // namespace

std::vector<std::string> check_same_run(const CheckpointHeader& header, const RunConfig& config,
                                        const RunIdentity& identity, const std::filesystem::path& file) {
    const std::vector<KeyChange> changes = changed_keys(config_in(header, file), config);
    std::string differences = changes_text(with_roles(changes, {KeyRole::model_math, KeyRole::run_math}));
    for (const std::string& text :
         {changed_tokens(header, identity, changes), changed_tokenizer(header, identity, changes)})
        if (!text.empty()) append(differences, text);
    if (!differences.empty())
        fail(ExitCode::usage,
             "{}: {}; a run that resumes keeps these: restore them, or start another run with its own `directory` "
             "(checkpoint.resume=never starts this run from step 0)",
             file.string(), differences);
    if (header.step > config.training.steps)
        fail(ExitCode::usage,
             "{}: the checkpoint is at step {}, but training.steps is {}; raise training.steps, or resume from an "
             "earlier checkpoint with checkpoint.resume=FILE",
             file.string(), header.step, config.training.steps);
    return lines_of(with_roles(changes, {KeyRole::later_steps, KeyRole::file_content}));
}

std::vector<std::string> check_same_model(const CheckpointHeader& header, const RunConfig& config,
                                          const RunIdentity& identity, const std::filesystem::path& file) {
    const std::vector<KeyChange> changes = changed_keys(config_in(header, file), config);
    const std::vector<KeyChange> model = with_roles(changes, {KeyRole::model_math});
    if (!model.empty())
        fail(ExitCode::usage,
             "{}: {}; these weights belong to the model of the checkpoint: set the keys as they were (`gpas inspect "
             "--config` prints them), or leave checkpoint.init_from empty",
             file.string(), changes_text(model));
    if (!is_other_tokenizer(header, identity.tokenizer_fingerprint)) return {};
    return {"changed since the checkpoint: " + changed_tokenizer(header, identity, changes)};
}

std::vector<std::string> take_model(const CheckpointHeader& header, LoadedConfig& config,
                                    const std::filesystem::path& file, std::string_view advice) {
    const RunConfig stored = config_in(header, file);
    const std::vector<KeyChange> changes = changed_keys(stored, config.values);
    std::vector<KeyChange> refused;
    std::string taken;
    for (const KeyChange& change : with_roles(changes, {KeyRole::model_math})) {
        if (config.places.contains(change.key->name)) refused.push_back(change);
        append(taken, fmt::format("{} = {} (not {}, the default)", change.key->name, change.before, change.now));
    }
    if (!refused.empty())
        fail(ExitCode::usage,
             "{}: {}; these weights belong to the model of the checkpoint: delete these settings, or {}", file.string(),
             changes_text(refused), advice);
    for (const KeySpec& key : config_keys())
        if (key.role == KeyRole::model_math) key.set(config.values, key.get(stored));
    check_config(config);
    std::vector<std::string> lines;
    if (!taken.empty()) lines.push_back("from the checkpoint: " + taken);
    std::vector<KeyChange> others;
    for (const KeyChange& change : changes)
        if (has_role(change, {KeyRole::run_math, KeyRole::file_content, KeyRole::later_steps}) &&
            !is_for_training_only(*change.key))
            others.push_back(change);
    for (const std::string& line : lines_of(others)) lines.push_back(line);
    return lines;
}

std::vector<std::string> take_initial_model(LoadedConfig& config) {
    namespace fs = std::filesystem;
    const fs::path named = config.values.checkpoint.init_from;
    if (named.empty()) return {};
    std::error_code error;
    std::optional<fs::path> file = fs::exists(named, error) ? named : moved_to(named);
    if (!file) file = newest_complete(checkpoint_directory(config.values));
    if (!file) return {};
    std::vector<std::string> lines = take_model(read_header(*file), config, *file, "leave checkpoint.init_from empty");
    std::erase_if(lines, [](const std::string& line) { return !line.starts_with("from the checkpoint: "); });
    return lines;
}

LoadedConfig load_with_initial_model(const std::vector<std::string>& files, const std::vector<std::string>& overrides,
                                     std::vector<std::string>& lines) {
    return load_config(files, overrides, [&](LoadedConfig& config) {
        for (std::string& line : take_initial_model(config)) lines.push_back(std::move(line));
    });
}

LoadedConfig config_of(const CheckpointHeader& header, const std::filesystem::path& file,
                       const std::vector<std::string>& overrides) {
    const RunConfig stored = config_in(header, file);
    RunConfig kept;
    for (const KeySpec& key : config_keys())
        if (key.role != KeyRole::layout) key.set(kept, key.get(stored));
    return load_config_text(dump_config(kept), file.string() + " (its configuration)", overrides);
}

}  // namespace gpas
