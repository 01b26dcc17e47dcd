// Every kind of bad file: the exact place, and words that help.
#include "base/error.hpp"
#include "tests/io/config/config_files.hpp"

namespace gpas {
namespace {

struct BadFile {
    const char* what;
    std::string text;
    std::string head;
    std::vector<std::string> words;
};

std::string nested(int levels, const char* open, const char* close) {
    std::string text = "data:\n  train: ";
    for (int i = 0; i < levels; ++i) text += open;
    for (int i = 0; i < levels; ++i) text += close;
    return text + "\n";
}

// Nine aliases a level: 9^8 leaves if anybody expanded it.
std::string alias_bomb() {
    std::string text = "a: &a [x, x, x, x, x, x, x, x, x]\n";
    for (char level = 'b'; level < 'j'; ++level) {
        text += fmt::format("{0}: &{0} [", level);
        for (int i = 0; i < 9; ++i) text += fmt::format("{}*{}", i == 0 ? "" : ", ", static_cast<char>(level - 1));
        text += "]\n";
    }
    return text;
}

std::vector<BadFile> bad_files() {
    return {
        // keys
        {"a slip in a key",
         "training:\n  stepz: 5\n",
         "run.yaml:2:3: training.stepz: unknown key",
         {"did you mean training.steps?"}},
        {"two letters swapped",
         "model:\n  haeds: 5\n",
         "run.yaml:2:3: model.haeds: unknown key",
         {"did you mean model.heads?"}},
        {"a slip in a section",
         "name: a\noptimiser:\n  beta1: 0.5\n",
         "run.yaml:2:1: optimiser: unknown key",
         {"did you mean the section optimizer?"}},
        {"a slip in a nested section",
         "model:\n  gates:\n    init: 1\n",
         "run.yaml:2:3: model.gates: unknown key",
         {"section model.gate?"}},
        {"an unknown section",
         "wandb:\n  entity: x\n",
         "run.yaml:1:1: wandb: unknown key",
         {"the sections are model", "metrics"}},
        {"a key in the wrong section",
         "training:\n  learning_rate: 1\n",
         "run.yaml:2:3: training.learning_rate: unknown key",
         {"optimizer.learning_rate", "under 'optimizer:'"}},
        {"a section's key at the top",
         "steps: 5\n",
         "run.yaml:1:1: steps: unknown key",
         {"training.steps", "under 'training:'"}},
        {"a top-level key in a section",
         "training:\n  seed: 5\n",
         "run.yaml:2:3: training.seed: unknown key",
         {"seed at the top level"}},
        {"a key that several sections have",
         "model:\n  every: 5\n",
         "run.yaml:2:3: model.every: unknown key",
         {"evaluation.every, checkpoint.every or metrics.every"}},
        {"Megatron's name",
         "training:\n  train_iters: 5\n",
         "run.yaml:2:3: training.train_iters: unknown key",
         {"gpas calls it training.steps"}},
        {"a Megatron argument",
         "--num-layers: 5\n",
         "run.yaml:1:1: --num-layers: unknown key",
         {"gpas calls it model.layers"}},
        {"torchtitan's name", "lr: 5\n", "run.yaml:1:1: lr: unknown key", {"gpas calls it optimizer.learning_rate"}},
        {"Hugging Face's name",
         "model:\n  num_hidden_layers: 5\n",
         "run.yaml:2:3: model.num_hidden_layers: unknown key",
         {"gpas calls it model.layers"}},
        {"Megatron's absolute floor",
         "schedule:\n  min_lr: 1e-5\n",
         "run.yaml:2:3: schedule.min_lr: unknown key",
         {"schedule.min_ratio", "fraction of peak"}},
        {"nothing like a key",
         "model:\n  qqqqqqqq: 5\n",
         "run.yaml:2:3: model.qqqqqqqq: unknown key",
         {"model has architecture, vocab_size", "gpas config"}},
        {"a dotted key in a file",
         "training.steps: 5\n",
         "run.yaml:1:1: training.steps: found a dotted key",
         {"'training:'", "'steps:' indented"}},
        {"an include in a section",
         "model:\n  include: a.yaml\n",
         "run.yaml:2:3: model.include: unknown key",
         {"top level"}},
        {"a key twice",
         "seed: 1\nname: a\nseed: 2\n",
         "run.yaml:3:1: seed: found a second time",
         {"first: run.yaml:1:1"}},
        {"a section twice",
         "model:\n  layers: 2\ntraining:\n  steps: 5\nmodel:\n  heads: 2\n",
         "run.yaml:5:1: model: found a second time",
         {"first: run.yaml:1:1"}},
        {"a key that is a list", "[a, b]: 5\n", "run.yaml:1:1: not valid YAML", {"where a key", "key: value"}},
        // values
        {"text for an integer",
         "training:\n  steps: many\n",
         "run.yaml:2:10: training.steps: found 'many'",
         {"an integer from 1 to 1_000_000_000"}},
        {"a fraction for an integer",
         "training:\n  steps: 1.5\n",
         "run.yaml:2:10: training.steps: found '1.5'",
         {"an integer", "a fraction is not allowed"}},
        {"a float for an integer",
         "training:\n  steps: 100.0\n",
         "run.yaml:2:10: training.steps: found '100.0'",
         {"write 100"}},
        {"a suffix", "training:\n  steps: 10k\n", "run.yaml:2:10: training.steps: found '10k'", {"10_000"}},
        {"an octal number", "training:\n  steps: 010\n", "run.yaml:2:10: training.steps: found '010'", {"an integer"}},
        {"a hexadecimal number",
         "training:\n  steps: 0x10\n",
         "run.yaml:2:10: training.steps: found '0x10'",
         {"an integer"}},
        {"a quoted number",
         "training:\n  steps: \"100\"\n",
         "run.yaml:2:10: training.steps: found the quoted text '100'",
         {"remove the quotes"}},
        {"more than 64 bits",
         "training:\n  steps: 9223372036854775808\n",
         "run.yaml:2:10: training.steps: found",
         {"an integer"}},
        {"too small",
         "training:\n  steps: 0\n",
         "run.yaml:2:10: training.steps: found '0'",
         {"from 1 to", "Optimizer steps"}},
        {"too large", "model:\n  layers: 10001\n", "run.yaml:2:11: model.layers: found '10001'", {"from 1 to 10000"}},
        {"a negative window",
         "model:\n  sliding_window: -1\n",
         "run.yaml:2:19: model.sliding_window: found '-1'",
         {"from 0 to", "position t attends to positions"}},
        {"no window as null",
         "model:\n  sliding_window: null\n",
         "run.yaml:2:3: model.sliding_window: found nothing",
         {"an integer from 0 to"}},
        {"a window of Megatron-LM",
         "model:\n  window_size: 5\n",
         "run.yaml:2:3: model.window_size: unknown key",
         {"gpas calls it model.sliding_window"}},
        {"a negative seed", "seed: -1\n", "run.yaml:1:7: seed: found '-1'", {"from 0 to 2^64 - 1"}},
        {"a list for an integer",
         "training:\n  steps: [1]\n",
         "run.yaml:2:10: training.steps: found a list",
         {"write one value"}},
        {"a mapping for a number",
         "optimizer:\n  beta1:\n    a: 1\n",
         "run.yaml:3:5: optimizer.beta1: found a mapping",
         {"a number >= 0 and < 1"}},
        {"nothing",
         "training:\n  steps:\nname: a\n",
         "run.yaml:2:3: training.steps: found nothing",
         {"delete the line"}},
        {"nothing for text", "name: ~\n", "run.yaml:1:1: name: found nothing", {"\"\" for empty text"}},
        {"NaN",
         "optimizer:\n  learning_rate: .nan\n",
         "run.yaml:2:18: optimizer.learning_rate: found '.nan'",
         {"finite"}},
        {"infinity", "optimizer:\n  clip_grad: inf\n", "run.yaml:2:14: optimizer.clip_grad: found 'inf'", {"finite"}},
        {"minus infinity",
         "optimizer:\n  clip_grad: -inf\n",
         "run.yaml:2:14: optimizer.clip_grad: found '-inf'",
         {"finite"}},
        {"an overflow",
         "optimizer:\n  clip_grad: 1e999\n",
         "run.yaml:2:14: optimizer.clip_grad: found '1e999'",
         {"a number"}},
        {"beta2 = 1", "optimizer:\n  beta2: 1\n", "run.yaml:2:10: optimizer.beta2: found '1'", {"< 1"}},
        {"an epsilon that is 0 in fp32",
         "optimizer:\n  epsilon: 1e-46\n",
         "run.yaml:2:12: optimizer.epsilon: found '1e-46'",
         {">= 1.2e-38"}},
        {"an epsilon without all digits in fp32",
         "optimizer:\n  epsilon: 1e-40\n",
         "run.yaml:2:12: optimizer.epsilon: found '1e-40'",
         {">= 1.2e-38"}},
        {"a norm's epsilon that is 0 in fp32",
         "model:\n  norm_eps: 1e-46\n",
         "run.yaml:2:13: model.norm_eps: found '1e-46'",
         {">= 1e-20"}},
        {"a negative rate",
         "optimizer:\n  learning_rate: -1e-3\n",
         "run.yaml:2:18: optimizer.learning_rate: found '-1e-3'",
         {">= 0"}},
        {"min_ratio above one",
         "schedule:\n  min_ratio: 1.5\n",
         "run.yaml:2:14: schedule.min_ratio: found '1.5'",
         {"<= 1"}},
        {"a percentage",
         "data:\n  valid_fraction: 5%\n",
         "run.yaml:2:19: data.valid_fraction: found '5%'",
         {"write 0.1 for 10%"}},
        {"a decimal comma", "optimizer:\n  beta1: 0,9\n", "run.yaml:2:10: optimizer.beta1: found '0,9'", {"a point"}},
        {"yes for true", "metrics:\n  jsonl: yes\n", "run.yaml:2:10: metrics.jsonl: found 'yes'", {"write true"}},
        {"False for false",
         "metrics:\n  jsonl: False\n",
         "run.yaml:2:10: metrics.jsonl: found 'False'",
         {"write false"}},
        {"a quoted boolean",
         "metrics:\n  jsonl: 'true'\n",
         "run.yaml:2:10: metrics.jsonl: found the quoted text 'true'",
         {"without quotes"}},
        {"a slip in a choice",
         "model:\n  architecture: pre_gaps\n",
         "run.yaml:2:17: model.architecture: found 'pre_gaps'",
         {"post_gpas", "did you mean pre_gpas?"}},
        {"a foreign choice",
         "compute:\n  dtype: float64\n",
         "run.yaml:2:10: compute.dtype: found 'float64'",
         {"fp32, bf16"}},
        {"a choice in capitals",
         "compute:\n  device: CPU\n",
         "run.yaml:2:11: compute.device: found 'CPU'",
         {"auto, cpu, cuda"}},
        {"text for a section",
         "training: 5\n",
         "run.yaml:1:11: training: found '5'",
         {"a mapping", "training has steps"}},
        {"a list for a section", "training:\n  - steps\n", "run.yaml:2:3: training: found a list", {"a mapping"}},
        // data sources
        {"Megatron's blend",
         "data:\n  train: [0.3, a, 0.7, b]\n",
         "run.yaml:2:11: data.train: found '0.3'",
         {"{path: prefix, weight: 0.3}"}},
        {"a file for a prefix",
         "data:\n  train: c4.bin\n",
         "run.yaml:2:10: data.train: found 'c4.bin'",
         {"leave '.bin' out"}},
        {"a source without path",
         "data:\n  train: [{weight: 1}]\n",
         "run.yaml:2:11: data.train: found a source without path",
         {"{path: prefix, weight: number}"}},
        {"a foreign word in a source",
         "data:\n  train: [{path: a, wieght: 1}]\n",
         "run.yaml:2:21: data.train: found 'wieght'",
         {"path and weight"}},
        {"a weight of zero",
         "data:\n  train: [{path: a, weight: 0}]\n",
         "run.yaml:2:29: data.train: found '0' as weight",
         {"> 0"}},
        {"an empty source", "data:\n  train: [a, ~]\n", "run.yaml:2:14: data.train: found nothing", {"a prefix"}},
        {"no sources", "data:\n  train:\n", "run.yaml:2:3: data.train: found nothing", {"write []"}},
        // files
        {"an empty file", "", "run.yaml: found an empty file", {"gpas config"}},
        {"comments only", "# nothing\n\n", "run.yaml: found an empty file", {}},
        {"a list", "- name: a\n", "run.yaml:1:1: found a list", {"mapping"}},
        {"prose", "Once upon a time\n", "run.yaml:1:1: found 'Once upon a time'", {"mapping"}},
        {"two documents", "name: a\n---\nname: b\n", "run.yaml:3:1: found a second YAML document", {"---"}},
        {"an unclosed quote",
         "name: \"abc\nseed: 1\n",
         "run.yaml:1:1: not valid YAML: a quote is opened",
         {"never closed"}},
        {"an unclosed quote below",
         "model:\n  layers: 2\n  architecture: 'pre\n",
         "run.yaml:3:3: not valid YAML: a quote is opened",
         {}},
        {"an unclosed bracket", "data:\n  train: [a, b\nname: x\n", "run.yaml:3:", {"not valid YAML", "brackets"}},
        {"bad indentation", "training:\n  steps: 5\n seed: 1\n", "run.yaml:3:2: not valid YAML", {"indentation"}},
        {"a tab", "training:\n\tsteps: 5\n", "run.yaml:2:", {"not valid YAML", "tabs"}},
        {"a control character", "name: a\nseed: \x04 1\n", "run.yaml:2:7: found the control character 0x04", {"UTF-8"}},
        {"a tag", "seed: !!int 5\n", "run.yaml:1:7: found the YAML tag", {"delete the tag"}},
        {"an alias", "name: &x a\ndirectory: *x\n", "run.yaml:2:12: found a YAML alias", {"include:"}},
        {"a merge key", "model: &m\n  layers: 1\ntraining:\n  <<: *m\n", "run.yaml:4:7: found a YAML alias", {}},
        {"an alias bomb", alias_bomb(), "run.yaml:2:8: found a YAML alias", {}},
        {"deep nesting of lists", nested(10000, "[", "]"), "run.yaml:2:", {"levels of nesting"}},
        {"deep nesting of mappings", nested(10000, "{a: ", "}"), "run.yaml:2:", {"levels of nesting"}},
        {"an include in a resolved configuration", "include: a.yaml\n", "run.yaml:1:1: include: found an include", {}},
    };
}

TEST(BadInput, IsRefusedWithPlaceAndAdvice) {
    for (const BadFile& bad : bad_files()) {
        SCOPED_TRACE(bad.what);
        expect_message(error_of_text(bad.text), bad.head, bad.words);
    }
}

TEST(BadInput, LongAndWildValuesStayOnOneShortLine) {
    const std::string message = error_of_text("seed: \"a\\nb" + std::string(10000, 'x') + "\"\n");
    expect_message(message, "run.yaml:1:7: seed: found the quoted text 'a\\x0ab", {"..."});
    EXPECT_LT(message.size(), 300u);
    EXPECT_LT(error_of_text(std::string(1000, 'y') + ": 1\n").size(), 600u);
}

TEST(BadInput, LargeHostileTextsAreRefusedWithoutDelay) {
    std::string many_keys;
    for (int i = 0; i < 100000; ++i) many_keys += fmt::format("k{}: 1\n", i);
    expect_message(error_of_text(many_keys), "run.yaml:1001:1: found more than 1000 keys", {"right file"});
    for (const char* piece :
         {"[", "{", "- ", "? ", "a: ", "\"", "'", "[a, ", "{a: [", "| ", "&a ", "!a ", "\\", "# ", "a ", "\n- "}) {
        SCOPED_TRACE(piece);
        std::string text;
        while (text.size() < (1 << 19)) text += piece;
        error_of_text(text);
        error_of_text("name: " + text);
    }
}

TEST(BadInput, MissingFilesFoldersAndHugeFilesAreRefused) {
    const ConfigFiles files;
    const std::string missing = files.path("none.yaml");
    expect_message(usage_error([&] { load_config(missing); }), missing + ": cannot read",
                   {"No such file", "key=value"});
    const std::string folder = std::filesystem::path(missing).parent_path().string();
    expect_message(usage_error([&] { load_config(folder); }), folder + ": found a folder", {"name a file"});
    const std::string huge = files.write("huge.yaml", "# " + std::string((1 << 20) + 1, 'x'));
    expect_message(usage_error([&] { load_config(huge); }), huge + ": found more than 1.00 MiB", {"right file"});
}

TEST(BadInput, OverridesNameTheCommandLine) {
    const std::string file = "name: a\n";
    const struct {
        const char* argument;
        const char* head;
        std::vector<std::string> words;
    } cases[] = {
        {"training.stepz=5", "command line: training.stepz=5: unknown key", {"did you mean training.steps?"}},
        {"trainign.steps=5", "command line: trainign.steps=5: unknown key", {"did you mean training.steps?"}},
        {"steps=5", "command line: steps=5: unknown key", {"training.steps=..."}},
        {"training.steps=", "command line: training.steps=: found nothing", {"an integer"}},
        {"training.steps=x", "command line: training.steps=x: found 'x'", {"an integer"}},
        {"training={steps: x}", "command line: training={steps: x}: training.steps: found 'x'", {"an integer"}},
        {"data.train=[a", "command line: data.train=[a: not valid YAML", {"brackets"}},
        {"training.steps", "command line: training.steps: found no key=value", {"training.steps=1000"}},
        {"=5", "command line: =5: found no key=value", {}},
        {"include=a.yaml", "command line: include=a.yaml: unknown key", {"name further files"}},
    };
    for (const auto& bad : cases) {
        SCOPED_TRACE(bad.argument);
        expect_message(error_of_text(file, {bad.argument}), bad.head, bad.words);
    }
    EXPECT_NO_THROW(load_config_text(file, "run.yaml", {"model="}));  // an empty section changes nothing
}

// A valid file cut anywhere, and with any one byte replaced, loads or is refused, but never crashes or hangs.
TEST(BadInput, CutAndDamagedFilesNeverCrash) {
    const std::string valid =
        "name: \"a \\u00e9\"\nmodel: {layers: 2, gate: {init: 1e-3}}\ndata:\n  train:\n    - a\n"
        "    - {path: 'b c', weight: .5}\n  mode: packed # why\ntraining:\n  steps: 1_000\n  stop_after: 10\n"
        "schedule: {warmup_steps: 3}\n";
    ASSERT_NO_THROW(load_config_text(valid, "run.yaml"));
    int refused = 0;
    const auto survive = [&](const std::string& text) {
        try {
            load_config_text(text, "run.yaml");
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
            EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
            ++refused;
        }
    };
    for (std::size_t length = 0; length <= valid.size(); ++length) survive(valid.substr(0, length));
    for (std::size_t at = 0; at < valid.size(); ++at) {
        for (const char damage : {'\0', '\t', '\n', ' ', '"', '\'', '{', '}', '[', ']', ':',    ',',    '&',
                                  '*',  '!',  '|',  '>', '%', '@',  '-', '?', '#', '9', '\x7f', '\xff', '\xc3'}) {
            std::string text = valid;
            text[at] = damage;
            survive(text);
        }
    }
    EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace gpas
