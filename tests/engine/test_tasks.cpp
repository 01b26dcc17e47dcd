// Multiple-choice questions by log-likelihood: files, token ids, scores, and log-likelihoods against the reference in
// double precision and on several ranks.
#include "base/error.hpp"
#include "engine/run/choice_scores.hpp"
#include "engine/run/evaluate_tasks.hpp"
#include "tests/support/models.hpp"
#include "tests/support/scratch_directory.hpp"
#include "tests/support/thread_communicator.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

namespace gpas {
namespace {

using namespace testing_models;
using Ids = std::vector<std::int32_t>;

std::string task_file(const test_support::ScratchDirectory& directory, const std::string& text) {
    std::ofstream(directory / "sums.jsonl") << text;
    return directory / "sums.jsonl";
}

TEST(ChoiceTask, reads_questions_and_skips_blank_lines) {
    const test_support::ScratchDirectory directory;
    const ChoiceTask task = read_choice_task(
        task_file(directory,
                  "{\"context\": \"1 + 1 =\", \"choices\": [\"2\", \"3\"], \"label\": 0}\n  \n"
                  "{\"label\": 2, \"context\": \"\", \"choices\": [\"\\u00e9\", \"b\", \"c\"], \"delimiter\": \"\"}"));
    ASSERT_EQ(task.questions.size(), 2U);
    EXPECT_EQ(task.name, "sums");
    EXPECT_EQ(task.questions[0].context, "1 + 1 =");
    EXPECT_EQ(task.questions[0].delimiter, " ");
    EXPECT_EQ(task.questions[1].choices, (std::vector<std::string>{"é", "b", "c"}));
    EXPECT_EQ(task.questions[1].label, 2);
    EXPECT_EQ(task.questions[1].delimiter, "");
    EXPECT_EQ(task.questions[1].line, 3);
}

std::string refusal(const std::function<void()>& act, ExitCode code = ExitCode::bad_file) {
    try {
        act();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), code);
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
        return error.what();
    }
    return "nothing refused";
}

TEST(ChoiceTask, refuses_a_bad_line_with_its_place) {
    const test_support::ScratchDirectory directory;
    const std::string good = R"({"context": "a", "choices": ["b", "c"], "label": 1})";
    const std::pair<const char*, const char*> cases[] = {
        {"{\"context\": \"a\"", "sums.jsonl:2: found text that is not JSON (at byte"},
        {"{\"context\": \"\\ud800\", \"choices\": [\"b\", \"c\"], \"label\": 1}",
         "sums.jsonl:2: found text that is not"},
        {"[1]", "sums.jsonl:2: found [1], expected a JSON object"},
        {R"({"context": "a", "choices": ["b", "c"]})", "sums.jsonl:2: found no key \"label\", expected an object"},
        {R"({"context": "a", "choices": ["b", "c"], "label": 1, "gold": 1})", "found the key \"gold\", expected only"},
        {R"({"context": 1, "choices": ["b", "c"], "label": 1})", "sums.jsonl:2: context: found 1, expected a string"},
        {R"({"context": "a", "choices": ["b"], "label": 0})", "choices: found [\"b\"], expected a list of two or more"},
        {R"({"context": "a", "choices": ["b", 2], "label": 0})", "choices[1]: found 2, expected a string"},
        {R"({"context": "a", "choices": ["b", ""], "label": 0})", "choices[1]: found an empty string"},
        {R"({"context": "a", "choices": ["b", "c"], "label": 2})", "label: found 2, expected the index"},
        {R"({"context": "a", "choices": ["b", "c"], "label": "b"})", "label: found \"b\", expected the index"},
        {R"({"context": "a", "choices": ["b", "c"], "label": -1})", "an integer from 0 to 1"},
        {R"({"context": "a", "choices": ["b", "c"], "label": 1, "delimiter": null})", "delimiter: found null"}};
    for (const auto& [line, message] : cases) {
        const std::string file = task_file(directory, good + "\n" + line + "\n" + good + "\n");
        const std::string found = refusal([&] { read_choice_task(file); });
        EXPECT_NE(found.find(message), std::string::npos) << found;
    }
    EXPECT_NE(refusal([&] { read_choice_task(task_file(directory, "\n")); }).find("found no question"),
              std::string::npos);
    EXPECT_NE(refusal([&] { read_choice_task(directory / "other.jsonl"); }).find("found no such file"),
              std::string::npos);
    const std::string file = task_file(directory, good);
    EXPECT_NE(refusal([&] { read_choice_tasks({file, file}); }, ExitCode::usage).find("the task name sums twice"),
              std::string::npos);
}

// One id per byte, but "= " is one token (200) as BPE would merge it; 1 is BOS, 2 is EOS.
class ByteTokenizer final : public Tokenizer {
public:
    explicit ByteTokenizer(std::int32_t bos) : bos_(bos) {}
    TokenizerKind kind() const override { return TokenizerKind::tiktoken; }
    using Tokenizer::encode;
    void encode(std::string_view text, Ids& ids) const override {
        for (std::size_t i = 0; i < text.size(); ++i) {
            const bool merged = text.substr(i, 2) == "= ";
            ids.push_back(merged ? 200 : std::int32_t(static_cast<unsigned char>(text[i])));
            i += merged;
        }
    }
    std::string decode(std::span<const std::int32_t>) const override { return ""; }
    std::int64_t vocab_size() const override { return 256; }
    std::string piece(std::int64_t id) const override { return id == 1 ? "<s>" : "?"; }
    std::string piece_text(std::int64_t) const override { return ""; }
    std::int32_t unk_id() const override { return -1; }
    std::int32_t bos_id() const override { return bos_; }
    std::int32_t eos_id() const override { return 2; }
    std::int32_t pad_id() const override { return -1; }
    bool lossless() const override { return true; }
    bool cuts_at_newlines() const override { return true; }
    const std::string& model_bytes() const override { return bytes_; }

private:
    std::int32_t bos_;
    std::string bytes_;
};

ChoiceTask one_question(const std::string& context, const std::string& delimiter = " ") {
    return {.name = "t",
            .file = "t.jsonl",
            .questions = {{.context = context, .choices = {"x", "yz"}, .delimiter = delimiter, .line = 7}}};
}

std::vector<ChoiceRequest> encoded(const ChoiceTask& task, const ChoiceTokens& tokens, std::int64_t window = 100) {
    return choice_requests(task, ByteTokenizer(1), tokens, window);
}

TEST(ChoiceRequests, encode_context_and_continuation_together) {
    const auto requests = encoded(one_question("a"), {.prefix = 2});
    ASSERT_EQ(requests.size(), 2U);
    EXPECT_EQ(requests[0].tokens, (Ids{'a', ' ', 'x'}));
    EXPECT_EQ(requests[0].scored, 1);
    EXPECT_EQ(requests[1].tokens, (Ids{'a', ' ', 'y', 'z'}));
    // "= " is one token of the whole text. The first ids, as many as "a=" has alone, are the context.
    const auto merged = encoded(one_question("a="), {.prefix = 2});
    EXPECT_EQ(merged[1].tokens, (Ids{'a', 200, 'y', 'z'}));
    EXPECT_EQ(merged[1].scored, 2);
}

TEST(ChoiceRequests, move_white_space_at_the_end_of_the_context_to_the_continuation) {
    for (const char* space : {" ", "\n", " \t ", "\u00a0", "\u3000"}) {
        const auto requests = encoded(one_question("a" + std::string(space), ""), {.prefix = 2});
        EXPECT_EQ(requests[0].tokens, ByteTokenizer(1).encode("a" + std::string(space) + "x"));
        EXPECT_EQ(requests[0].scored, 1) << '"' << space << '"';
    }
    EXPECT_EQ(encoded(one_question("a\u200b", ""), {.prefix = 2})[0].scored, 4);  // not white space
}

TEST(ChoiceRequests, give_an_empty_context_the_prefix_token) {
    for (const char* empty : {"", "  "}) {
        const auto requests = encoded(one_question(empty, ""), {.prefix = 2});
        Ids expected{2};
        for (const char c : empty + std::string("x")) expected.push_back(c);
        EXPECT_EQ(requests[0].tokens, expected);
        EXPECT_EQ(requests[0].scored, 1);
    }
    EXPECT_EQ(encoded(one_question("", "\x02"), {.prefix = 2})[0].tokens, (Ids{2, 'x'}));  // it is there already
    const std::string found = refusal([] { encoded(one_question(""), {}); });
    EXPECT_NE(found.find("t.jsonl:7: context: found an empty string"), std::string::npos) << found;
}

TEST(ChoiceRequests, begin_with_bos_once) {
    EXPECT_EQ(encoded(one_question("a"), {.prefix = 1, .bos = 1})[0].tokens, (Ids{1, 'a', ' ', 'x'}));
    EXPECT_EQ(encoded(one_question("a"), {.prefix = 1, .bos = 1})[0].scored, 2);
    EXPECT_EQ(encoded(one_question("<s>a"), {.prefix = 1, .bos = 1})[0].tokens.front(), '<');
}

TEST(ChoiceRequests, lose_their_first_tokens_if_they_are_longer_than_the_window) {
    const auto requests = encoded(one_question("abcdef"), {.prefix = 2}, 4);
    EXPECT_EQ(requests[0].tokens, (Ids{'d', 'e', 'f', ' ', 'x'}));  // 4 inputs and the last label
    EXPECT_EQ(requests[0].scored, 3);
    EXPECT_EQ(requests[1].tokens, (Ids{'e', 'f', ' ', 'y', 'z'}));
    EXPECT_EQ(encoded(one_question("abcdef"), {.prefix = 2}, 3)[1].tokens, (Ids{'f', ' ', 'y', 'z'}));
    const std::string found = refusal([] { encoded(one_question("abcdef"), {.prefix = 2}, 2); });
    EXPECT_NE(found.find("t.jsonl:7: choices[1]: found 3 tokens, expected at most data.sequence_length = 2"),
              std::string::npos)
        << found;
    EXPECT_NE(refusal([] { encoded(one_question("a=", ""), {.prefix = 2}, 2); }).find("nothing refused"),
              std::string::npos);
    ChoiceTask merges = one_question("a=", "");
    merges.questions[0].choices[1] = " ";
    EXPECT_NE(refusal([&] { encoded(merges, {.prefix = 2}); }).find("choices[1]: found a text that adds no token"),
              std::string::npos);
}

TEST(ChoiceTokens, are_those_of_the_exported_model) {
    const ByteTokenizer with(1), without(-1);
    EXPECT_EQ(choice_tokens(with, {}, "").prefix, 1);
    EXPECT_EQ(choice_tokens(with, {}, "").bos, -1);
    EXPECT_EQ(choice_tokens(without, {}, "").prefix, 2);
    const TokenIds imported{.bos = 7, .eos = {9}, .add_bos = true};
    EXPECT_EQ(choice_tokens(with, imported, "").prefix, 7);
    EXPECT_EQ(choice_tokens(with, imported, "").bos, 7);
    EXPECT_EQ(choice_tokens(without, TokenIds{.eos = {9, 10}}, "").prefix, 9);
}

TEST(ChoiceScores, are_those_of_hand_arithmetic) {
    ChoiceTask task{.name = "t", .file = "t.jsonl", .questions = {}};
    task.questions.push_back({.context = "", .choices = {"ab", "abcd"}, .label = 0});  // right; wrong per character
    task.questions.push_back({.context = "", .choices = {"éé", "abc"}, .label = 0});   // per character, not per byte
    task.questions.push_back({.context = "", .choices = {"a", "b"}, .label = 1});      // equal: the first counts
    task.questions.push_back({.context = "", .choices = {"a", "b"}, .label = 0});      // NaN is not right
    const std::vector<double> likelihoods{-2.0, -3.0, -2.0, -3.5, -1.0, -1.0, -1.0, std::nan("")};
    const TaskMetrics scores = choice_scores(task, likelihoods);
    EXPECT_EQ(scores.questions, 4);
    EXPECT_EQ(scores.acc.value, 0.5);
    EXPECT_EQ(scores.acc_norm.value, 0.25);
    EXPECT_EQ(scores.acc_bytes.value, 0.25);
    EXPECT_NEAR(scores.acc.standard_error, std::sqrt((4 * 0.25 / 3.0) / 4.0), 1e-15);
    EXPECT_NEAR(scores.acc_norm.standard_error, std::sqrt(((0.5625 + 3 * 0.0625) / 3.0) / 4.0), 1e-15);
    EXPECT_NEAR(scores.bits_per_byte, (2.0 + 2.0 + 1.0 + 1.0) / (2 + 4 + 1 + 1) / std::log(2.0), 1e-15);
    task.questions.resize(1);
    EXPECT_EQ(choice_scores(task, std::span(likelihoods).first(2)).acc.standard_error, 0.0);
}

constexpr std::int64_t window = 9;

// Requests of 2 to `window` + 1 tokens.
std::vector<ChoiceRequest> test_requests(std::int32_t vocabulary) {
    std::vector<ChoiceRequest> requests;
    for (std::int64_t i = 0; i < 23; ++i) {
        const std::int64_t length = 2 + i % window;
        ChoiceRequest request{.tokens = {}, .scored = 1 + (i * 3) % (length - 1)};
        for (std::int64_t t = 0; t < length; ++t) request.tokens.push_back(std::int32_t((7 * i + 5 * t) % vocabulary));
        requests.push_back(request);
    }
    return requests;
}

double reference_likelihood(reference::Model& model, const ChoiceRequest& request) {
    const auto length = std::int64_t(request.tokens.size()) - 1;
    reference::Rows rows{.batch = 1, .sequence = length};
    for (std::int64_t t = 0; t < length; ++t) {
        rows.tokens.push_back(request.tokens[std::size_t(t)]);
        rows.labels.push_back(t + 1 < request.scored ? -1 : request.tokens[std::size_t(t + 1)]);
        rows.segment_begin.push_back(0);
    }
    return -model.loss(rows);
}

TEST(TaskLikelihoods, are_those_of_the_reference) {
    // A sample of 150 positions has all requests and then unused positions.
    for (const auto& [architecture, sequence] :
         {std::pair(Architecture::pre, window), {Architecture::pre, 150}, {Architecture::sandwich_gpas, window}}) {
        const ModelConfig model = small_model(architecture);
        TestReplica replica(model, {.batch = 2, .sequence = sequence, .training = false, .head_chunk = 7}, 2);
        Mesh mesh = make_self_mesh();
        const std::vector<ChoiceRequest> requests = test_requests(std::int32_t(model.vocab_size));
        const Likelihoods found = evaluate_requests(*replica, mesh, {.micro_batches = 1}, requests);
        reference::Model reference = reference_model(model);
        ASSERT_EQ(found.values.size(), requests.size());
        for (std::size_t i = 0; i < requests.size(); ++i)
            EXPECT_NEAR(found.values[i], reference_likelihood(reference, requests[i]), 2e-4) << i;
    }
}

struct LayoutCase {
    MeshSize size;
    bool sequence_parallel = false;
    int chunks = 1;
};

std::vector<double> likelihoods_on(const LayoutCase& layout) {
    RunConfig config;
    config.model = small_model(Architecture::pre_gpas);
    config.model.layers = 4;
    config.model.init_std = 0.5;
    config.data.sequence_length = window;
    config.training.micro_batch_size = 2;
    config.training.global_batch_size = 8;
    config.parallel.sequence_parallel = layout.sequence_parallel;
    config.parallel.virtual_chunks = layout.chunks;
    if (layout.chunks > 1) config.parallel.schedule = PipelineSchedule::interleaved;
    std::vector<double> values;
    run_as_threads(layout.size.tensor * layout.size.pipeline * layout.size.data, [&](Communicator& world) {
        Mesh mesh = make_mesh(world.duplicate(), layout.size);
        Replica replica(replica_shape(config, mesh.size, mesh.place, 1, false), *mesh.tensor, *mesh.data);
        initialise(replica.context, replica.store, config.seed, *mesh.data);
        const std::vector<ChoiceRequest> requests = test_requests(std::int32_t(config.model.vocab_size));
        const Likelihoods found = evaluate_requests(replica, mesh, pipeline_shape(config, mesh.size), requests);
        if (world.rank() == 0) values = found.values;
    });
    return values;
}

TEST(TaskLikelihoods, do_not_depend_on_the_layout) {
    if (test_support::test_device != Device::cpu) GTEST_SKIP() << "ranks are threads on the CPU";
    const std::vector<double> one = likelihoods_on({});
    const LayoutCase layouts[] = {{{.tensor = 2}},
                                  {{.tensor = 2}, true},
                                  {{.pipeline = 2}},
                                  {{.pipeline = 2}, false, 2},
                                  {{.data = 2}},
                                  {{.data = 3}},
                                  {{.tensor = 2, .data = 2, .pipeline = 2}, true}};
    for (const LayoutCase& layout : layouts) {
        const std::vector<double> other = likelihoods_on(layout);
        ASSERT_EQ(other.size(), one.size());
        for (std::size_t i = 0; i < one.size(); ++i)
            EXPECT_NEAR(other[i], one[i], 1e-5 * std::abs(one[i]))
                << "tensor " << layout.size.tensor << ", pipeline " << layout.size.pipeline << ", request " << i;
        const bool only_data = layout.size.tensor * layout.size.pipeline == 1;
        EXPECT_EQ(only_data && other != one, false);  // whole micro-batches move to other ranks
    }
}

TEST(TaskLikelihoods, stop_when_a_rank_is_asked_to) {
    const ModelConfig model = small_model(Architecture::pre);
    TestReplica replica(model, {.batch = 1, .sequence = window, .training = false}, 1);
    Mesh mesh = make_self_mesh();
    const std::vector<ChoiceRequest> requests = test_requests(std::int32_t(model.vocab_size));
    const EvaluationHooks hooks{.progress = {}, .stop = [] { return true; }};
    EXPECT_TRUE(evaluate_requests(*replica, mesh, {.micro_batches = 1}, requests, hooks).interrupted);
}

}  // namespace
}  // namespace gpas
