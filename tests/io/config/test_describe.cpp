// The schema and configurations as text, and back.
#include "base/error.hpp"
#include "io/config/describe.hpp"
#include "io/config/no_effect.hpp"
#include "io/config/schema.hpp"
#include "tests/io/config/config_files.hpp"

#include <cstring>
#include <random>
#include <sstream>

namespace gpas {
namespace {

std::string first_difference(const RunConfig& a, const RunConfig& b) {
    for (const KeySpec& key : config_keys()) {
        const ConfigValue left = key.get(a);
        const ConfigValue right = key.get(b);
        if (const auto* x = std::get_if<std::vector<DataSource>>(&left)) {
            const auto& y = std::get<std::vector<DataSource>>(right);
            if (x->size() != y.size()) return key.name;
            for (std::size_t i = 0; i < x->size(); ++i) {
                if ((*x)[i].path != y[i].path || (*x)[i].weight != y[i].weight) return key.name;
            }
        } else if (const auto* real = std::get_if<double>(&left)) {
            if (std::memcmp(real, &std::get<double>(right), sizeof(double)) != 0) return key.name;  // -0 is not 0
        } else if (format_value(left) != format_value(right)) {
            return key.name;
        }
    }
    return "";
}

RunConfig reload(const RunConfig& config) { return load_config_text(dump_config(config), "resolved.yaml").values; }

TEST(Describe, DefaultsComeBack) { EXPECT_EQ(first_difference(RunConfig{}, reload(RunConfig{})), ""); }

TEST(Describe, EveryTextComesBack) {
    RunConfig config;
    for (const std::string& text : {std::string("a\nb\r\tc"), std::string("\"quoted\" \\ 'single'"),
                                    std::string("true"), std::string("12"), std::string("~"), std::string(" # x: y"),
                                    std::string("\x01\x04\x7f"), std::string("caf\xc3\xa9 \xe2\x80\xa8 \xc2\x85"),
                                    std::string(200, 'w'), std::string("nul\0nul", 7), std::string("*a &b !c %d @e")}) {
        config.name = text;
        config.data.tokenizer = text;
        config.data.train = {{text, 0.1}, {text + "2", 1.0}, {"0.5", 1e-300}};
        EXPECT_EQ(first_difference(config, reload(config)), "") << dump_config(config);
    }
    config.data.tokenizer = "";
    EXPECT_EQ(first_difference(config, reload(config)), "");
}

// Random values for every key; contradictions may be refused, what is accepted comes back to the bit.
TEST(Describe, RandomConfigurationsComeBack) {
    std::mt19937_64 random(7);
    int accepted = 0;
    for (int round = 0; round < 300; ++round) {
        RunConfig config;
        for (const KeySpec& key : config_keys()) {
            if (random() % 4 != 0) continue;
            const double low = std::max(key.range.min, -1e300);
            const double high = std::min(key.range.max, 1e300);
            const double inside = low + std::ldexp(static_cast<double>(random() >> 11), -53) * (high - low);
            if (key.type == KeyType::real && key.range.contains(inside)) key.set(config, inside);
            if (key.type == KeyType::seed) key.set(config, static_cast<std::uint64_t>(random()));
            if (key.type == KeyType::boolean) key.set(config, random() % 2 == 0);
            if (key.name == "evaluation.samples" || key.name == "checkpoint.keep_last" ||
                key.name == "compute.threads") {
                key.set(config, static_cast<std::int64_t>(inside));
            }
        }
        config.optimizer.clip_gate_grad = config.model.gate.frozen ? 0 : config.optimizer.clip_gate_grad;
        config.model.gate.scale = 1;
        config.model.rope_scaling = {.factor = 8, .low_freq_factor = 1.5, .high_freq_factor = 2.5};
        config.data.mask_documents = false;
        config.parallel.sequence_parallel = false;
        config.data.valid_fraction = 0.25;
        config = without_ineffective_keys(config);
        EXPECT_EQ(first_difference(config, reload(config)), "") << dump_config(config);
        ++accepted;
    }
    EXPECT_EQ(accepted, 300);
}

TEST(Describe, ADumpWithPlacesLoadsTheSame) {
    const auto loaded = load_config_text("name: 'a # b'\nmodel: {gate: {init: 0.1}}\n", "run.yaml", {"seed=7"});
    const std::string text = dump_config(loaded);
    EXPECT_NE(text.find("# run.yaml:1:7\n"), std::string::npos) << text;
    EXPECT_NE(text.find("# command line: seed=7\n"), std::string::npos) << text;
    EXPECT_EQ(first_difference(loaded.values, load_config_text(text, "resolved.yaml").values), "");
}

TEST(Describe, PlacesInADumpNeverBreakItsLines) {
    const auto loaded = load_config_text("seed: 1\n", "run.yaml", {"name=\"a\n  b\""});
    EXPECT_EQ(first_difference(loaded.values, load_config_text(dump_config(loaded), "resolved.yaml").values), "");
}

TEST(Describe, ListsEveryKeyWithDefaultTypeUnitAndHelp) {
    const std::string text = describe_schema();
    for (const KeySpec& key : config_keys()) {
        EXPECT_NE(text.find(fmt::format("  {} = {}\n", key.name, default_of(key))), std::string::npos) << key.name;
        EXPECT_NE(text.find(key.help.substr(0, key.help.find(' '))), std::string::npos) << key.name;
    }
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 110u) << line;
}

TEST(Describe, FiltersByOurNameAndByForeignNames) {
    EXPECT_NE(describe_schema("Warmup").find("schedule.warmup_steps = 1000"), std::string::npos);
    EXPECT_NE(describe_schema("train_iters").find("training.steps"), std::string::npos);
    EXPECT_EQ(describe_schema("train_iters").find("model."), std::string::npos);
    EXPECT_EQ(describe_schema("no such thing"), "");
}

TEST(Describe, CommittedReferenceIsUpToDate) {
    std::ifstream file(GPAS_SOURCE_ROOT "/docs/configuration.md");
    std::ostringstream committed;
    committed << file.rdbuf();
    EXPECT_TRUE(committed.str() == describe_schema_as_markdown())
        << "run `gpas config --markdown > docs/configuration.md`";
}

}  // namespace
}  // namespace gpas
