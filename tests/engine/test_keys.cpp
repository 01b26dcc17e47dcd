// Every key of the schema has an influence that shows, or is refused, or declares why it does not show; and on resume
// it is refused, or reported, or declared free. Nothing here lists keys but the texts that a text key may hold: a key
// that is added is walked like the others.
#include "base/error.hpp"
#include "engine/plan/plan.hpp"
#include "engine/run/same_run.hpp"
#include "io/config/compare.hpp"
#include "io/config/describe.hpp"
#include "io/config/no_effect.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace gpas {
namespace {

using namespace tiny_run;
using Settings = std::vector<std::string>;

// A few steps in which as many keys as possible take part.
const Settings base_settings{"data.mask_documents=false", "training.steps=4",   "schedule.warmup_steps=2",
                             "evaluation.every=2",        "checkpoint.every=1", "checkpoint.keep_last=2",
                             "metrics.gpas_every=2",      "model.head_dim=16"};  // wide enough for waves longer than
                                                                                 // rope_scaling.original_length

struct Context {
    Settings settings;
    std::vector<std::string> keys;  // names or sections; empty: all
};
// Configurations in which some keys have lost or gained their meaning.
const std::vector<Context> contexts{
    {{}, {}},
    {{"model.rope_scaling.factor=8", "model.rope_scaling.original_length=8"}, {"model.rope_scaling"}},
    {{"model.architecture=lns_gpas"}, {"model.lns"}},
    {{"model.architecture=post_pre_gpas"}, {"model.mix_post_layers"}},
    {{"model.architecture=pre"}, {"model.gate", "optimizer.clip_gate_grad"}},
    {{"model.gate.frozen=true"}, {"model.gate", "optimizer.clip_gate_grad"}},
    {{"model.gate.frozen=true", "model.gate.init=0.5"}, {"model.gate"}},
    {{"model.gate.function=relu", "model.gate.init=-1"}, {"model.gate.stop_gradient", "model.gate.frozen"}},
    {{"model.gate.function=scaled_silu"}, {"model.gate.scale"}},
    {{"checkpoint.init_from=INITIAL"},
     {"model.init_std", "model.embedding_init", "model.output_init", "model.gate.init"}},
    {{"data.mode=padded"}, {"data"}},
    {{"optimizer.weight_decay=0"}, {"optimizer"}},
    {{"optimizer.learning_rate=0", "optimizer.weight_decay=0"}, {"optimizer.weight_decay"}},
    {{"schedule.warmup_steps=4"}, {"schedule"}},
    {{"schedule.warmup_steps=0"}, {"schedule"}},
    {{"schedule.kind=constant"}, {"schedule"}},
    {{"schedule.kind=wsd", "schedule.decay_steps=2"}, {"schedule"}},
    {{"evaluation.every=0"}, {"data.valid_fraction"}},
    {{"checkpoint.keep_last=0"}, {"checkpoint.keep_every"}},
    {{"metrics.jsonl=false", "metrics.gpas_every=10"}, {"metrics.gpas_every"}},
    {{"parallel.tensor=2"}, {"parallel.sequence_parallel", "parallel.sharded_optimizer"}},
    {{"parallel.pipeline=2", "model.layers=4"},
     {"parallel.schedule", "parallel.virtual_chunks", "parallel.stage_layers"}},
};

bool concerns(const Context& context, const KeySpec& key) {
    return context.keys.empty() || std::any_of(context.keys.begin(), context.keys.end(), [&](const std::string& name) {
               return name == key.name || name == key.section;
           });
}

void add_numbers(std::vector<std::string>& texts, const KeySpec& key, double value) {
    const double others[] = {2 * value, value + 1, value + 2, value / 2, key.range.min, 0.5, 2, 1e-3, 1e-6};
    for (const double other : others) {
        const bool whole = other == std::floor(other);
        if (other == value || !key.range.contains(other) || (key.type == KeyType::integer && !whole)) continue;
        texts.push_back(key.type == KeyType::integer ? format_value(std::int64_t(other)) : format_value(other));
    }
}

class Keys : public testing::Test {
protected:
    Keys() {
        write_tokens(tokens_);
        write_tokens(directory_ / "other");
        std::ofstream(directory_ / "t.model") << "a tokenizer is only fingerprinted here";
        train(config("initial", {}), make_self_communicator(), 1);
        initial_ = directory_ / "initial/checkpoints/step_00000004.h5";
    }

    LoadedConfig config(const std::string& name, const Settings& changes) const {
        Settings all = base_settings;
        for (const std::string& change : changes) {
            const std::size_t at = change.find("INITIAL");
            all.push_back(at == std::string::npos ? change : change.substr(0, at) + initial_);
        }
        return tiny_config(tokens_, directory_ / name, all);
    }

    // What else the key may hold, as YAML.
    std::vector<std::string> others(const KeySpec& key, const RunConfig& now) const {
        std::vector<std::string> texts;
        const ConfigValue value = key.get(now);
        switch (key.type) {
            case KeyType::integer: add_numbers(texts, key, double(std::get<std::int64_t>(value))); break;
            case KeyType::real: add_numbers(texts, key, std::get<double>(value)); break;
            case KeyType::seed: texts = {"7"}; break;
            case KeyType::boolean: texts = {std::get<bool>(value) ? "false" : "true"}; break;
            case KeyType::choice:
                for (const std::string& choice : key.choices)
                    if (choice != std::get<std::string>(value)) texts.push_back(choice);
                break;
            case KeyType::sources: texts = {"[" + tokens_ + ", " + std::string(directory_ / "other") + "]"}; break;
            case KeyType::files: texts = {"[" + std::string(directory_ / "task.jsonl") + "]"}; break;
            case KeyType::text: {
                const std::map<std::string, std::string> known{
                    {"name", "another"},
                    {"directory", directory_ / "elsewhere"},
                    {"data.tokenizer", directory_ / "t.model"},
                    {"parallel.stage_layers", "1,3"},
                    {"checkpoint.resume", initial_},
                    {"checkpoint.init_from", initial_},
                };
                EXPECT_TRUE(known.contains(key.name)) << key.name << ": say here what else it may hold";
                if (known.contains(key.name)) texts = {known.at(key.name)};
                break;
            }
        }
        return texts;
    }

    // All that a run leaves and that time has no part in; and what the run would be on 1, 2 and 4 ranks.
    std::string observe(const std::string& name, const Settings& changes) const {
        std::filesystem::remove_all(directory_ / name);
        std::filesystem::remove_all(directory_ / "elsewhere");
        const LoadedConfig loaded = config(name, changes);
        std::string seen = plans(loaded);
        for (const std::string& line : lines_about_ineffective_keys(loaded.values)) seen += line + "\n";
        try {
            train(loaded, make_self_communicator(), 1);
        } catch (const Error& error) {
            return seen + error.what();
        }
        const std::filesystem::path directory = loaded.values.directory;
        for (const std::string& record : records(directory)) seen += record + "\n";
        std::set<std::string> files;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
            const std::string file = std::filesystem::relative(entry.path(), directory);
            files.insert(file.substr(0, file.find("tfevents")));
            if (entry.path().extension() != ".h5") continue;
            const CheckpointFile saved(entry.path());
            seen += fmt::format("{} {} {}\n", saved.header().run_name, saved.header().tokenizer_fingerprint,
                                saved.header().dataset_fingerprint);
            for (const TensorInfo& info : saved.tensors()) {
                double sum = 0.0;
                for (const float value : saved.read(info.name)) sum = 1.0625 * sum + double(value);
                seen += fmt::format("{} {} {}\n", file, info.name, sum);
            }
        }
        for (const std::string& file : files) seen += file + "\n";
        return seen + (std::filesystem::exists(directory_ / name) ? "" : "elsewhere");
    }

    static std::vector<std::string> records(const std::filesystem::path& directory) {
        std::ifstream file(directory / "metrics.jsonl");
        std::vector<std::string> kept;
        for (std::string line; std::getline(file, line);) {
            nlohmann::json record = nlohmann::json::parse(line);
            for (const char* noisy : {"time", "tokens_per_second", "flops_megatron", "flops_full", "mfu_megatron",
                                      "mfu_full", "resident_bytes"})
                record.erase(noisy);
            for (auto item = record.begin(); item != record.end();)
                item = item.key().starts_with("second") ? record.erase(item) : std::next(item);
            kept.push_back(record.dump());
        }
        return kept;
    }

    static std::string plans(const LoadedConfig& loaded) {
        std::string text;
        for (const int ranks : {1, 2, 4}) {
            try {
                const RunPlan plan = plan_run(loaded, ranks, 1);
                text += fmt::format("{} ranks: {} {} {}\n", ranks, plan.bubble_share, plan.flops.full,
                                    plan.checkpoint_bytes);
                for (const RankPlan& stage : plan.stages)
                    text += fmt::format("{} {} {} {} {}\n", stage.parameters, stage.memory.total_bytes(),
                                        stage.traffic.total(), stage.parts.size(), stage.parts.front().layers.end);
            } catch (const Error& error) {
                text += fmt::format("{} ranks: {}\n", ranks, error.what());
            }
        }
        return text;
    }

    Directory directory_;
    std::string tokens_ = directory_ / "tokens";
    std::string initial_;
};

TEST_F(Keys, every_key_changes_the_run_or_is_refused_or_says_why_not) {
    for (const Context& context : contexts) {
        const std::string before = observe("walk", context.settings);
        const RunConfig now = config("walk", context.settings).values;
        for (const KeySpec& key : config_keys()) {
            if (!concerns(context, key) || !key.unseen.empty()) continue;
            bool accepted = false, seen = false;
            for (const std::string& text : others(key, now)) {
                Settings changes = context.settings;
                changes.push_back(key.name + "=" + text);
                try {
                    seen = observe("walk", changes) != before;
                    accepted = true;
                } catch (const Error& error) {
                    EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
                }
                if (seen) break;
            }
            EXPECT_TRUE(seen || !accepted) << key.name << " changes nothing in "
                                           << (context.settings.empty() ? "the base run" : context.settings.front())
                                           << ": refuse it there (io/config/no_effect.cpp), or say in the schema why "
                                              "nothing shows (KeySpec::unseen)";
        }
    }
}

TEST_F(Keys, on_resume_every_key_is_refused_or_reported_or_free) {
    const RunConfig then = config("run", {}).values;
    const CheckpointHeader header{.software = "gpas test", .step = 2, .config = dump_config(then)};
    for (const KeySpec& key : config_keys()) {
        for (const std::string& text : others(key, then)) {
            LoadedConfig changed;
            try {
                changed = config("run", {key.name + "=" + text});
            } catch (const Error&) {
                continue;  // refused in any run
            }
            std::string told, refused;
            try {
                for (const std::string& line : check_same_run(header, changed.values, {}, "step.h5")) told += line;
            } catch (const Error& error) {
                EXPECT_EQ(error.code(), ExitCode::usage);
                refused = error.what();
            }
            std::vector<KeyChange> changes = changed_keys(then, changed.values);
            std::erase_if(changes, [&](const KeyChange& change) { return change.key != &key; });
            ASSERT_EQ(changes.size(), 1u) << key.name << " = " << text;
            const std::string both = changes_text(changes);
            switch (key.role) {
                case KeyRole::model_math:
                case KeyRole::run_math:
                    EXPECT_NE(refused.find("step.h5: " + both), std::string::npos) << both << ", found: " << refused;
                    break;
                case KeyRole::file_content:
                case KeyRole::later_steps:
                    if (key.name == "training.steps" && changed.values.training.steps < header.step) {
                        EXPECT_NE(refused.find("is at step 2"), std::string::npos) << refused;
                        break;
                    }
                    if (key.name == "data.valid") {  // so that no share of data.train is kept back
                        EXPECT_NE(refused.find("data.valid_fraction was 0.1 and is now 0"), std::string::npos)
                            << refused;
                        break;
                    }
                    EXPECT_EQ(refused, "");
                    EXPECT_EQ(told, "changed since the checkpoint: " + both);
                    break;
                case KeyRole::layout:
                case KeyRole::no_math: EXPECT_EQ(refused + told, "") << key.name; break;
            }
        }
    }
}

// What is declared to have no influence on the numbers has none but rounding.
TEST_F(Keys, what_may_change_without_a_word_does_not_change_the_losses) {
    const RunConfig now = config("run", {}).values;
    const std::vector<double> expected = losses(directory_ / "initial");
    for (const KeySpec& key : config_keys()) {
        if (key.role != KeyRole::layout && key.role != KeyRole::no_math) continue;
        if (key.name == "directory" || key.name == "training.stop_after" || key.name == "metrics.every") continue;
        const std::vector<std::string> texts = others(key, now);
        std::filesystem::remove_all(directory_ / "free");
        try {
            train(config("free", {key.name + "=" + texts.front()}), make_self_communicator(), 1);
        } catch (const Error&) {
            continue;  // not on one rank
        }
        const std::vector<double> found = losses(directory_ / "free");
        if (found.size() != expected.size()) continue;  // another number of records
        for (std::size_t i = 0; i < found.size(); ++i)
            EXPECT_NEAR(found[i], expected[i], 1e-4 * expected[i]) << key.name << ", step " << i + 1;
    }
}

}  // namespace
}  // namespace gpas
