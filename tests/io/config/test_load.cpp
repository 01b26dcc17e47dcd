// Files, includes and overrides: what is read, in which order, and from where.
#include "base/error.hpp"
#include "io/config/schema.hpp"
#include "tests/io/config/config_files.hpp"

namespace gpas {
namespace {

TEST(Load, LaterBeatsEarlier) {
    const ConfigFiles files;
    files.write("base/a.yaml", "seed: 1\nname: a\nmodel: {layers: 3, heads: 4}\n");
    files.write("base/b.yaml", "include: a.yaml\nname: b\n");
    const auto first = files.write("first.yaml", "model: {layers: 5}\ninclude: [base/b.yaml]\n");
    const auto second = files.write("second.yaml", "model: {ffn_size: 7}\ntraining: {steps: 2000}\n");
    const auto loaded = load_config({first, second}, {"training.steps=3000", "training.steps=4000"});
    EXPECT_EQ(loaded.values.seed, 1u);
    EXPECT_EQ(loaded.values.name, "b");
    EXPECT_EQ(loaded.values.model.layers, 5);  // own keys beat the include, wherever it stands
    EXPECT_EQ(loaded.values.model.heads, 4);
    EXPECT_EQ(loaded.values.model.ffn_size, 7);
    EXPECT_EQ(loaded.values.training.steps, 4000);
    EXPECT_EQ(to_string(loaded.places.at("seed")), files.path("base/a.yaml") + ":1:7");
    EXPECT_EQ(to_string(loaded.places.at("model.layers")), first + ":1:17");
    EXPECT_EQ(to_string(loaded.places.at("training.steps")), "command line: training.steps=4000");
    EXPECT_FALSE(loaded.places.contains("model.vocab_size"));
}

TEST(Load, NoFileAtAllGivesTheDefaultsAndOverrides) {
    const auto loaded = load_config(std::vector<std::string>{}, {"seed=5"});
    EXPECT_EQ(loaded.values.seed, 5u);
    EXPECT_EQ(loaded.values.model.hidden_size, ModelConfig{}.hidden_size);
}

TEST(Load, IncludesInACircleAreRefused) {
    const ConfigFiles files;
    const auto a = files.write("a.yaml", "name: x\ninclude: b.yaml\n");
    const auto b = files.write("b.yaml", "include:\n  - c/c.yaml\n");
    const auto c = files.write("c/c.yaml", "include: [../a.yaml]\n");
    expect_message(usage_error([&] { load_config(a); }), c + ":1:11: include: ", {"includes itself", a, b, "cycle"});
    const auto self = files.write("self.yaml", "include: ./self.yaml\n");
    expect_message(usage_error([&] { load_config(self); }), self + ":1:10: include: ", {"includes itself"});
}

TEST(Load, TheSameFileTwiceIsNoCircle) {
    const ConfigFiles files;
    files.write("base.yaml", "seed: 3\n");
    files.write("b.yaml", "include: base.yaml\n");
    EXPECT_EQ(load_config(files.write("a.yaml", "include: [base.yaml, b.yaml]\n")).values.seed, 3u);
}

TEST(Load, IncludesThatMultiplyAreRefused) {
    const ConfigFiles files;
    for (int i = 0; i < 20; ++i) {
        files.write(fmt::format("{}.yaml", i), fmt::format("include: [{0}.yaml, {0}.yaml]\n", i + 1));
    }
    files.write("20.yaml", "seed: 1\n");
    expect_message(usage_error([&] { load_config(files.path("0.yaml")); }), "", {"more than 100 included files"});
}

TEST(Load, BadIncludesNameTheLineOfTheInclude) {
    const ConfigFiles files;
    const auto missing = files.write("a.yaml", "name: x\ninclude: nowhere.yaml\n");
    expect_message(usage_error([&] { load_config(missing); }), missing + ":2:10: include: found no file",
                   {files.path("nowhere.yaml"), "relative to the folder of"});
    const auto mapping = files.write("b.yaml", "include: {a: b}\n");
    expect_message(usage_error([&] { load_config(mapping); }), mapping + ":1:10: include: found a mapping",
                   {"a file name"});
    const auto nothing = files.write("c.yaml", "include:\n");
    expect_message(usage_error([&] { load_config(nothing); }), nothing + ":1:1: include: found nothing", {});
    const auto inner = files.write("d/inner.yaml", "sead: 1\n");
    const auto outer = files.write("outer.yaml", "include: d/inner.yaml\n");
    expect_message(usage_error([&] { load_config(outer); }), inner + ":1:1: sead: unknown key", {"did you mean seed?"});
}

TEST(Load, DataSourcesTakeThreeForms) {
    const auto train = [](const std::string& value) {
        return load_config_text("data:\n  train: " + value + "\n", "run.yaml").values.data.train;
    };
    ASSERT_EQ(train("a/b").size(), 1u);
    EXPECT_EQ(train("a/b")[0].path, "a/b");
    EXPECT_EQ(train("a/b")[0].weight, 1.0);
    ASSERT_EQ(train("[a, \"0.5\"]").size(), 2u);
    EXPECT_EQ(train("[a, \"0.5\"]")[1].path, "0.5");
    const auto mixed = train("[a, {path: b, weight: 0.25}]");
    ASSERT_EQ(mixed.size(), 2u);
    EXPECT_EQ(mixed[1].path, "b");
    EXPECT_EQ(mixed[1].weight, 0.25);
    EXPECT_EQ(train("{path: c, weight: 3}")[0].weight, 3.0);
    EXPECT_TRUE(train("[]").empty());
}

TEST(Load, AListReplacesAnEarlierList) {
    const auto loaded = load_config_text("data: {train: [a, b]}\n", "run.yaml", {"data.train=c"});
    ASSERT_EQ(loaded.values.data.train.size(), 1u);
    EXPECT_EQ(loaded.values.data.train[0].path, "c");
}

TEST(Load, OverridesTakeYaml) {
    const auto loaded = load_config_text("data: {tokenizer: t}\n", "run.yaml",
                                         {"model.gate={init: 0.5, frozen: true}", "data.tokenizer=", "name=a=b",
                                          "directory=\"x y\"", "optimizer.beta1=.5"});
    EXPECT_EQ(loaded.values.model.gate.init, 0.5);
    EXPECT_TRUE(loaded.values.model.gate.frozen);
    EXPECT_EQ(loaded.values.data.tokenizer, "");
    EXPECT_EQ(loaded.values.name, "a=b");
    EXPECT_EQ(loaded.values.directory, "x y");
    EXPECT_EQ(loaded.values.optimizer.beta1, 0.5);
}

TEST(Load, DirectoryNamesTheRun) {
    const auto loaded = load_config_text("name: n\ndirectory: runs/{name}-{architecture}-{seed}\n", "run.yaml",
                                         {"model.architecture=post", "seed=9"});
    EXPECT_EQ(loaded.values.directory, "runs/n-post-9");
}

TEST(Load, AnEmptySectionAndWindowsLinesAreFine) {
    EXPECT_EQ(load_config_text("model:\n  # layers: 3\nseed: 4\n", "run.yaml").values.seed, 4u);
    EXPECT_EQ(load_config_text("\xef\xbb\xbfseed: 4\r\nmodel:\r\n  layers: 3\r\n", "run.yaml").values.model.layers, 3);
}

TEST(Load, ArgumentsAreFilesOrOverrides) {
    const auto arguments = split_config_arguments({"a.yaml", "training.steps=5", "runs/lr=1/c.yaml", "data.train=a/b"});
    EXPECT_EQ(arguments.files, (std::vector<std::string>{"a.yaml", "runs/lr=1/c.yaml"}));
    EXPECT_EQ(arguments.overrides, (std::vector<std::string>{"training.steps=5", "data.train=a/b"}));
}

}  // namespace
}  // namespace gpas
