#include "base/error.hpp"
#include "data_fixtures.hpp"
#include "io/data/parquet_file.hpp"
#include "io/data/prepare.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <numeric>
#include <random>
#include <thread>

namespace gpas::test {
namespace {

struct Interruption {};

class Preparing : public testing::Test {
protected:
    Preparing() {
        std::mt19937 random(1);
        const std::vector<std::string> words{"the", "cat", "sat", "on", "a", "mat", "and", "looked", "at", "rain"};
        for (int name = 0; name < 3; ++name) {
            std::string text;
            for (int line = 0; line < 120; ++line) {
                for (unsigned word = 0; word < 4 + random() % 9; ++word) text += words[random() % words.size()] + " ";
                text += random() % 4 == 0 ? "\n\n" : "\n";
            }
            write_bytes(folder / ("in/" + std::to_string(name) + ".txt"), text);
        }
        options.inputs = {folder / "in"};
        options.output_prefix = folder / "out/corpus";
        options.documents = DocumentMode::blank_line;
        options.train_tokenizer = TokenizerTraining{TokenizerType::bpe, 285};
        options.unit_bytes = 700;
        options.mark_bytes = 1000;
        options.notice = [this](const std::string& line) { notices += line + "\n"; };
    }
    std::string output() const {
        return read_bytes(options.output_prefix + "_text_document.bin") + "|" +
               read_bytes(options.output_prefix + "_text_document.idx");
    }
    PrepareReport jsonl(const std::string& lines, bool skip = false) {
        write_bytes(folder / "j.jsonl", lines);
        options.inputs = {folder / "j.jsonl"};
        options.documents = DocumentMode::jsonl;
        options.skip_bad_lines = skip;
        options.train_tokenizer.reset();
        options.tokenizer = folder / "t.model";
        if (!std::filesystem::exists(options.tokenizer)) {
            bool given = false;
            write_bytes(options.tokenizer, train_tokenizer({TokenizerType::bpe, 275}, [&](std::string& text) {
                            text = "some text to learn from, some more text to learn more from";
                            return !std::exchange(given, true);
                        }));
        }
        return prepare(options);
    }
    DataFolder folder;
    PrepareOptions options;
    std::string notices;
};

std::vector<std::string> decoded(const std::string& prefix, const std::string& model) {
    const IndexedDataset data(prefix);
    const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(model);
    std::vector<std::string> texts;
    for (std::int64_t k = 0; k < data.documents(); ++k) {
        std::vector<std::int32_t> ids(std::size_t(data.document_begin(k + 1) - data.document_begin(k)));
        data.read(data.document_begin(k), std::int64_t(ids.size()), ids.data());
        EXPECT_EQ(ids.back(), tokenizer->eos_id());
        texts.push_back(tokenizer->decode(ids));
    }
    return texts;
}

TEST_F(Preparing, TextComesBackDocumentByDocument) {
    const PrepareReport report = prepare(options);
    const auto texts = decoded(report.prefix, report.tokenizer);
    std::string joined, original;
    for (const auto& text : texts) joined += text + "\n\n";
    for (const char* name : {"in/0.txt", "in/1.txt", "in/2.txt"}) {
        original += read_bytes(folder / name);
        if (!original.ends_with("\n\n")) original += "\n";
    }
    EXPECT_EQ(joined, original);
    EXPECT_EQ(report.documents, std::int64_t(texts.size()));
    EXPECT_EQ(report.tokens, IndexedDataset(report.prefix).tokens());
    EXPECT_EQ(report.vocab_size, 285);
    EXPECT_EQ(report.dtype, TokenDtype::uint16);
    IndexedDataset(report.prefix).check_ids(report.vocab_size, 2);
}

TEST_F(Preparing, TheNumberOfThreadsAndTheSizeOfUnitsLeaveNoTrace) {
    for (const auto mode : {DocumentMode::file, DocumentMode::line, DocumentMode::blank_line}) {
        options.documents = mode;
        std::string first;
        for (const auto& [threads, unit] : {std::pair{1, 1 << 20}, {1, 100}, {3, 100}, {8, 900}}) {
            options.threads = threads;
            options.unit_bytes = unit;
            prepare(options);
            if (first.empty()) first = output();
            EXPECT_TRUE(output() == first) << threads << " threads, units of " << unit;
        }
    }
}

TEST_F(Preparing, AnInterruptedRunOfParquetFilesContinuesAtARowGroup) {
    if (!parquet_is_supported()) GTEST_SKIP() << "built without Apache Arrow";
    options.documents.reset();
    options.inputs = {GPAS_TEST_DATA_FOLDER "/parquet/rows_*.parquet"};
    options.mark_bytes = 1;
    const PrepareReport whole = prepare(options);
    EXPECT_EQ(whole.documents, 180);
    const std::string expected = output();
    for (const int interrupted_at : {0, 1, 7, 17}) {  // of 18 row groups
        std::filesystem::remove_all(folder / "out");
        notices.clear();
        int calls = 0;
        std::int64_t bytes_done = 0;
        options.threads = 1 + interrupted_at % 2;
        options.progress = [&](const PrepareProgress& progress) {
            EXPECT_GT(progress.stored_bytes_done, std::exchange(bytes_done, progress.stored_bytes_done));
            EXPECT_LE(progress.stored_bytes_done, progress.stored_bytes);
            if (calls++ == interrupted_at) throw Interruption{};
        };
        EXPECT_THROW(prepare(options), Interruption);
        options.progress = nullptr;
        const PrepareReport report = prepare(options);
        EXPECT_EQ(report.resumed_documents, 10 * (interrupted_at + 1));
        EXPECT_TRUE(output() == expected) << interrupted_at;
    }
}

TEST_F(Preparing, AnInterruptedRunGoesOnAndEndsAsIfNothingHadHappened) {
    const PrepareReport whole = prepare(options);
    const std::string expected = output();
    int resumed = 0;
    for (int interrupted_at = 0; interrupted_at < 30; interrupted_at += 3) {
        std::filesystem::remove_all(folder / "out");
        notices.clear();
        int calls = 0;
        options.threads = 1 + interrupted_at % 2;
        options.progress = [&](const PrepareProgress&) {
            if (calls++ == interrupted_at) throw Interruption{};
        };
        try {
            prepare(options);
        } catch (const Interruption&) {
            EXPECT_FALSE(std::filesystem::exists(whole.prefix + ".idx"));
        }
        options.progress = nullptr;
        const PrepareReport report = prepare(options);
        EXPECT_TRUE(output() == expected) << interrupted_at;
        EXPECT_EQ(report.documents, whole.documents);
        EXPECT_EQ(report.text_bytes, whole.text_bytes);
        EXPECT_EQ(report.tokens, whole.tokens);
        resumed += report.resumed_documents > 0;
    }
    EXPECT_GE(resumed, 4);  // the others came before the first mark or after the last unit
}

TEST_F(Preparing, AnInterruptionInsideALongDocumentGoesOnToo) {
    options.documents = DocumentMode::file;
    prepare(options);
    const std::string expected = output();
    std::filesystem::remove_all(folder / "out");
    int calls = 0;
    options.progress = [&](const PrepareProgress&) {
        if (++calls == 4) throw Interruption{};
    };
    EXPECT_THROW(prepare(options), Interruption);
    options.progress = nullptr;
    notices.clear();
    prepare(options);
    EXPECT_CONTAINS(notices, "resuming");
    EXPECT_TRUE(output() == expected);
}

TEST_F(Preparing, ChangedInputsOptionsOrPartialFilesStartAfreshAndSaySo) {
    const auto interrupt = [&] {
        std::filesystem::remove_all(folder / "out");
        int calls = 0;
        options.progress = [&](const PrepareProgress&) {
            if (++calls == 6) throw Interruption{};
        };
        EXPECT_THROW(prepare(options), Interruption);
        options.progress = nullptr;
        notices.clear();
    };
    const std::string partial = options.output_prefix + "_text_document.bin.partial";
    interrupt();
    write_bytes(folder / "in/0.txt", read_bytes(folder / "in/0.txt") + "and more\n");
    EXPECT_EQ(prepare(options).resumed_documents, 0);
    EXPECT_CONTAINS(notices, "the inputs or the options have changed: starting from the beginning");
    const std::string expected = output();

    interrupt();
    options.append_eos = false;
    EXPECT_EQ(prepare(options).resumed_documents, 0);
    EXPECT_CONTAINS(notices, "have changed: starting from the beginning");
    options.append_eos = true;

    interrupt();
    std::string bytes = read_bytes(partial);
    bytes[3] ^= 1;
    write_bytes(partial, bytes);
    prepare(options);
    EXPECT_CONTAINS(notices, "are not those written before the interruption: starting from the beginning");
    EXPECT_TRUE(output() == expected);

    interrupt();
    write_bytes(options.output_prefix + "_text_document.prepare.json", "{\"version\": 1");
    prepare(options);
    EXPECT_CONTAINS(notices, "is damaged: starting from the beginning");
    EXPECT_TRUE(output() == expected);

    interrupt();
    write_bytes(options.output_prefix + ".model", "not a model");
    prepare(options);
    EXPECT_CONTAINS(notices, "is not the tokenizer of the earlier run");
    EXPECT_TRUE(output() == expected);
}

TEST_F(Preparing, ASecondRunOfTheSameFindsTheWorkDone) {
    const PrepareReport first = prepare(options);
    const auto time = std::filesystem::last_write_time(first.prefix + ".bin");
    const PrepareReport again = prepare(options);
    EXPECT_TRUE(again.already_done);
    EXPECT_EQ(again.tokens, first.tokens);
    EXPECT_EQ(again.documents, first.documents);
    EXPECT_EQ(std::filesystem::last_write_time(first.prefix + ".bin"), time);
    const std::string expected = output();
    std::filesystem::resize_file(first.prefix + ".bin", 10);
    EXPECT_FALSE(prepare(options).already_done);
    EXPECT_TRUE(output() == expected);
}

TEST_F(Preparing, JsonLinesGiveTheTextUnderTheKey) {
    const PrepareReport report = jsonl(
        "{\"text\": \"first\\n\\u00e9\", \"url\": 3}\n\n{\"id\": [1, {}], \"text\": \"second\"}\n{\"text\": \"\"}\n");
    EXPECT_EQ(decoded(report.prefix, report.tokenizer), (std::vector<std::string>{"first\n\xc3\xa9", "second"}));
    EXPECT_EQ(report.empty_documents, 1);
    options.json_key = "body";
    EXPECT_TRUE(jsonl("{\"body\": \"x\"}").prefix.ends_with("corpus_body_document"));
    options.json_key = "title,meta.body";
    const PrepareReport joined = jsonl("{\"meta\": {\"body\": \"x\"}, \"title\": \"t\"}");
    EXPECT_TRUE(joined.prefix.ends_with("corpus_title+meta.body_document"));
    EXPECT_EQ(decoded(joined.prefix, joined.tokenizer), std::vector<std::string>{"t\nx"});
}

TEST_F(Preparing, ADamagedJsonLineIsNamedOrSkippedAndCounted) {
    const std::string good = "{\"text\": \"good\"}\n";
    for (const auto& [line, problem] :
         std::vector<std::pair<std::string, std::string>>{{"{\"text\": \"cut", "ends too early at byte 14"},
                                                          {"[1, 2]", "is a JSON array, expected an object"},
                                                          {"{\"txt\": \"x\"}", "has no \"text\""},
                                                          {"{\"text\": 5}", "is a JSON number, expected a string"}}) {
        const std::string message = error_of([&] { jsonl(good + line + "\n" + good); });
        EXPECT_CONTAINS(message, "j.jsonl:2: ");
        EXPECT_CONTAINS(message, problem);
        const PrepareReport report = jsonl(good + line + "\n" + good, true);
        EXPECT_EQ(report.documents, 2);
        EXPECT_EQ(std::accumulate(report.skipped_lines.begin(), report.skipped_lines.end(), std::int64_t(0)), 1);
        ASSERT_EQ(report.first_skipped.size(), 1u);
        EXPECT_CONTAINS(report.first_skipped[0], problem);
    }
}

TEST_F(Preparing, IllFormedUtf8IsReplacedAndCounted) {
    const PrepareReport report = jsonl(
        "{\"text\": \"a\xff"
        "b\xe2\x82\"}\n");
    EXPECT_EQ(report.replaced_characters, 2);
    EXPECT_EQ(decoded(report.prefix, report.tokenizer)[0],
              "a\xef\xbf\xbd"
              "b\xef\xbf\xbd");
}

TEST_F(Preparing, EachKindOfBadLineIsCountedAndTheOthersAreTaken) {
    const PrepareReport report = jsonl(
        "{\"text\": \"a\"}\n\"x\"\n{\"text\": null}\n{\"text\": \"b\"\n{}\n{\"a\": 1}\nNaN\n[]\n{\"text\": \"b\"}\n",
        true);
    EXPECT_EQ(report.skipped_lines, (LineProblemCounts{1, 3, 2, 1, 0}));
    EXPECT_EQ(report.documents, 2);
    const std::string none = error_of([&] { jsonl("[]\n5\n", true); });
    EXPECT_CONTAINS(none, "no text found; 2 bad lines were skipped, the first is ");
    EXPECT_CONTAINS(none, "j.jsonl:1: is a JSON array");
}

TEST_F(Preparing, WhatPythonWritesIsRead) {
    const std::string digits(5000, '7');
    const PrepareReport report = jsonl("\xef\xbb\xbf{\"text\": \"a\\ud800b\", \"score\": NaN}\r\n \t\r\n{\"n\": [" +
                                       digits + ", -Infinity, 1e999, -" + digits +
                                       ".5E-99999], \"text\": \"x\\ud83d\\ude00\", \"\\udfff\": {\"text\": 3}}\n"
                                       "{\"text\": 1, \"text\": \"last\"}\n");
    EXPECT_EQ(decoded(report.prefix, report.tokenizer), (std::vector<std::string>{"a\xef\xbf\xbd"
                                                                                  "b",
                                                                                  "x\xf0\x9f\x98\x80", "last"}));
    EXPECT_EQ(report.replaced_characters, 1);
}

TEST_F(Preparing, IllFormedTextOfOtherKeysIsNotCounted) {
    const PrepareReport report = jsonl("{\"other\": \"\xff\\ud800\", \"text\": \"a\"}\n");
    EXPECT_EQ(report.replaced_characters, 0);
}

// A writer thread feeds a FIFO; reading it needs no second opening.
TEST_F(Preparing, AStreamGivesTheTokensOfAFileWithTheSameText) {
    std::string text;
    for (const char* name : {"in/0.txt", "in/1.txt", "in/2.txt"}) text += read_bytes(folder / name) + "\n\n";
    write_bytes(folder / "all.txt", text);
    options.inputs = {folder / "all.txt"};
    prepare(options);
    const std::string expected = output(), model = read_bytes(options.output_prefix + ".model");
    const std::string fifo = folder / "pipe";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    for (const bool trained : {true, false}) {
        std::filesystem::remove_all(folder / "out");
        if (!trained) {
            options.train_tokenizer.reset();
            write_bytes(folder / "given.model", model);
            options.tokenizer = folder / "given.model";
        }
        options.inputs = {fifo};
        std::jthread writer([&] { write_bytes(fifo, text); });
        PrepareReport report;
        try {
            report = prepare(options);
        } catch (...) {  // the writer may still wait for a reader
            const int reader = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK);
            writer.join();
            ::close(reader);
            throw;
        }
        EXPECT_TRUE(output() == expected) << trained;
        EXPECT_FALSE(report.already_done);
        std::size_t files = 0;
        for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder / "out")) ++files;
        EXPECT_EQ(files, trained ? 4u : 3u) << "no copy of the stream stays";
    }
}

TEST_F(Preparing, AfterAnErrorInTheInputsNothingStays) {
    EXPECT_CONTAINS(error_of([&] { jsonl("{\"text\": \"a\"}\n5\n"); }), "j.jsonl:2");
    EXPECT_FALSE(std::filesystem::exists(folder / "out/corpus_text_document.bin.partial"));
    EXPECT_FALSE(std::filesystem::exists(folder / "out/corpus_text_document.prepare.json"));
    jsonl("{\"text\": \"a\"}\n");  // an earlier result survives a failed attempt to replace it, and can be replaced
    const std::string first = output();
    error_of([&] { jsonl("{\"text\": \"b\"}\n5\n"); });
    EXPECT_TRUE(output() == first);
    EXPECT_EQ(jsonl("{\"text\": \"c\"}\n").documents, 1);
    EXPECT_FALSE(output() == first);
}

TEST_F(Preparing, FilesThatPrepareDidNotWriteAreNotReplaced) {
    write_bytes(options.output_prefix + ".model", "somebody's model");
    EXPECT_CONTAINS(error_of([&] { prepare(options); }, ExitCode::usage), "corpus.model: exists");
    std::filesystem::remove(options.output_prefix + ".model");
    write_bytes(options.output_prefix + "_text_document.idx", "somebody's index");
    EXPECT_CONTAINS(error_of([&] { prepare(options); }, ExitCode::usage), "corpus_text_document.idx: exists");
    EXPECT_EQ(read_bytes(options.output_prefix + "_text_document.idx"), "somebody's index");
}

TEST_F(Preparing, OptionsForJsonLinesAreRefusedForPlainText) {
    options.skip_bad_lines = true;
    EXPECT_CONTAINS(error_of([&] { prepare(options); }, ExitCode::usage), "--skip-bad-lines is for JSON lines");
    options.skip_bad_lines = false;
    options.json_key_given = true;
    EXPECT_CONTAINS(error_of([&] { prepare(options); }, ExitCode::usage), "--text-key (--json-key) is for JSON lines");
    options.json_key = "a/b";
    EXPECT_CONTAINS(error_of([&] { prepare(options); }, ExitCode::usage), "without /");
    EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_F(Preparing, TheTokenizerSampleIsBoundedAndSpread) {
    options.tokenizer_sample_bytes = 2000;  // of some 15 kB
    options.train_tokenizer->vocab_size = 280;
    const PrepareReport report = prepare(options);
    EXPECT_GT(report.documents, 10);
    EXPECT_EQ(report.vocab_size, 280);
}

TEST_F(Preparing, RequestsThatCannotWorkAreRefused) {
    PrepareOptions none = options;
    none.train_tokenizer.reset();
    EXPECT_CONTAINS(error_of([&] { prepare(none); }, ExitCode::usage), "no tokenizer");
    PrepareOptions both = options;
    both.tokenizer = "x.model";
    EXPECT_CONTAINS(error_of([&] { prepare(both); }, ExitCode::usage), "expected one of the two");
    PrepareOptions empty = options;
    write_bytes(folder / "void/e.txt", "\n \n");
    empty.inputs = {folder / "void"};
    error_of([&] { prepare(empty); }, ExitCode::usage);  // nothing to train on
}

}  // namespace
}  // namespace gpas::test
