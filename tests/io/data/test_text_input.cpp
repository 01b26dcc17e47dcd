#include "data_fixtures.hpp"
#include "io/data/file_kind.hpp"
#include "io/data/parquet_file.hpp"
#include "io/data/text_input.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>

#include <random>

namespace gpas::test {
namespace {

using std::string_literals::operator""s;

std::string wide(const std::string& ascii, std::size_t width, bool big_endian) {
    std::string out;
    for (const char c : ascii) {
        std::string bytes(width, '\0');
        (big_endian ? bytes.back() : bytes.front()) = c;
        out += bytes;
    }
    return out;
}

class RecognisingInputs : public testing::Test {
protected:
    TextInputs open(const std::string& name, const std::string& bytes, std::optional<DocumentMode> documents = {},
                    const std::string& key = "text") {
        write_bytes(folder / name, bytes);
        return open_inputs({folder / name}, documents, key);
    }
    DocumentMode mode(const std::string& name, const std::string& bytes) { return open(name, bytes).documents; }
    std::string refusal(const std::string& name, const std::string& bytes, std::optional<DocumentMode> documents = {}) {
        const std::string message = error_of([&] { open(name, bytes, documents); });
        EXPECT_CONTAINS(message, folder / name);
        return message;
    }
    void gzip(const std::string& name, const std::string& bytes) {
        gzFile file = gzopen((folder / name).c_str(), "wb");
        gzwrite(file, bytes.data(), unsigned(bytes.size()));
        gzclose(file);
    }
    DataFolder folder;
};

const std::string good_line = "{\"text\": \"hello\"}\n";

TEST_F(RecognisingInputs, JsonLinesAreKnownByNameOrContentAndTold) {
    for (const char* name : {"a.jsonl", "a.NDJSON", "a.json", "a.txt", "a"})
        EXPECT_EQ(mode(name, good_line), DocumentMode::jsonl);
    EXPECT_CONTAINS(open("a.jsonl", good_line).notices.at(0), "JSON lines, the text is under \"text\"");
    EXPECT_EQ(mode("empty_text.txt", "{\"text\": \"\"}\n" + good_line), DocumentMode::jsonl);
    EXPECT_EQ(mode("blank_first.txt", "\xef\xbb\xbf\n \r\n" + good_line), DocumentMode::jsonl);
    EXPECT_EQ(mode("bad_first.txt", "{\"text\": \"cut\n" + good_line), DocumentMode::jsonl);
    for (const char* begun : {"{\"text\":\n", "[\n", "{\"text\": \"a\",\n", "{\n", "[\"a\",\n"})
        EXPECT_EQ(open("bad_first.jsonl", std::string(begun) + good_line, DocumentMode::jsonl).documents,
                  DocumentMode::jsonl)
            << begun;
    EXPECT_EQ(mode("no_key.jsonl", "{\"body\": \"x\"}\n"), DocumentMode::jsonl);
    EXPECT_EQ(mode("long.txt", "{\"text\": \"" + std::string(100000, 'x') + "\"}\n"), DocumentMode::jsonl);
    EXPECT_EQ(open("k.txt", "{\"body\": \"x\"}\n", {}, "body").documents, DocumentMode::jsonl);
    gzip("a.jsonl.gz", good_line);
    EXPECT_EQ(open_inputs({folder / "a.jsonl.gz"}, {}, "text").documents, DocumentMode::jsonl);
}

TEST_F(RecognisingInputs, PlainTextStaysPlainText) {
    EXPECT_EQ(mode("a.txt", "Once upon a time\n"), DocumentMode::file);
    EXPECT_CONTAINS(open("a.txt", "Once\n").notices.at(0), "plain text, each file is one document");
    for (const std::string& text : {"{curly} text\n"s, "[1] A. Smith, Notes\n[2] B. Jones\n"s, "[section]\nkey = 1\n"s,
                                    "{\n  int x;\n}\n"s, "PARENTS and children\n"s, "BZh is a way to begin a text\n"s,
                                    "ORCHIDS\n"s, "caf\xe9 in Latin-1\n"s, "a\0b and \xff\n"s, "\x1b[1mbold\x1b[0m\n"s,
                                    ""s, "\n \n"s, "\xef\xbb\xbfmarked\n"s, "<html><body>x</body></html>\n"s})
        EXPECT_EQ(mode("b.txt", text), DocumentMode::file) << text;
    EXPECT_TRUE(open("e.txt", "").notices.empty());
    EXPECT_EQ(open("chosen.jsonl", good_line, DocumentMode::line).documents, DocumentMode::line);
    EXPECT_CONTAINS(open("chosen.jsonl", good_line, DocumentMode::line).notices.at(0), "as --documents line says");
    EXPECT_TRUE(open("chosen.txt", "x\n", DocumentMode::line).notices.empty());
}

TEST_F(RecognisingInputs, ForeignContentIsNamedWithWhatToDo) {
    std::string tar(1024, '\0');
    tar.replace(0, 5, "x.txt").replace(257, 5, "ustar");
    std::string noise(4000, '\0');
    std::mt19937 random(1);
    for (char& c : noise) c = char(random());
    const std::string pandas = ").to_json(orient='records', lines=True))\" | gpas prepare --input - ";
    const std::vector<std::array<std::string, 3>> kinds{
        {"PAR1\x15\x04\x15\x80"
         "abcdPAR1",
         "a Parquet file", "pandas.read_parquet('" + (folder / "f") + "'" + pandas},
        {"ARROW1\0\0abc"s, "an Arrow (Feather) file", "read_feather"},
        {"\xff\xff\xff\xff\x10\0\0\0"s, "an Arrow stream", "open_stream"},
        {"\x04\x22\x4d\x18"
         "abc",
         "LZ4 data", "`lz4 -dc " + (folder / "f") + " | gpas prepare --input - ...`"},
        {"\x5d\0\0\x80\0"s, "LZMA data", "xz --format=lzma -dc"},
        {"PK\x03\x04\x14\0"s, "a ZIP archive", "unzip -p"},
        {tar, "a tar archive", "unpack it into a folder"},
        {"%PDF-1.4\n", "a PDF document", "`pdftotext " + (folder / "f") + " - | gpas"},
        {"\x89HDF\r\n\x1a\n", "an HDF5 file", "JSON lines"},
        {"SQLite format 3\0"s, "an SQLite database", "sqlite3"},
        {"\x93NUMPY\x01\0v"s, "a NumPy array", "JSON lines"},
        {"\x80\x04\x95\x10\0"s, "a Python pickle", "JSON lines"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "a Git LFS pointer", "git lfs pull"},
        {"\xff\xfe{\0\"\0"s, "UTF-16 text", "`iconv -f UTF-16 -t UTF-8 "},
        {"\xff\xfe\0\0{\0\0\0"s, "UTF-32 text", "iconv -f UTF-32"},
        {wide(good_line, 2, false), "UTF-16LE text", "iconv -f UTF-16LE"},
        {wide(good_line, 2, true), "UTF-16BE text", "iconv -f UTF-16BE"},
        {wide(good_line, 4, false), "UTF-32LE text", "iconv -f UTF-32LE"},
        {wide(good_line, 4, true), "UTF-32BE text", "iconv -f UTF-32BE"},
        {"MMIDIDX\0\0\1"s, "an index of token files", "data.train"},
        {noise, "binary data", "UTF-8 text"},
        {std::string(100, '\0'), "binary data", "UTF-8 text"}};
    for (const auto& [bytes, name, advice] : kinds) {
        for (const auto documents :
             {std::optional<DocumentMode>(), std::optional(DocumentMode::jsonl), std::optional(DocumentMode::file)}) {
            if (is_parquet(bytes) && parquet_is_supported()) break;  // test_prepare.py
            const std::string message = refusal("f", bytes, documents);
            EXPECT_CONTAINS(message, ": is " + name);
            EXPECT_CONTAINS(message, advice);
        }
        gzip("f.gz", bytes);
        const std::string inside = error_of([&] { open_inputs({folder / "f.gz"}, {}, "text"); });
        EXPECT_CONTAINS(inside, "f.gz: holds " + name);
    }
    EXPECT_CONTAINS(refusal("r.txt", noise.substr(0, 64)), "UTF-8 text");
    std::string cyrillic;
    for (int i = 0; i < 1000; ++i) cyrillic += i % 7 == 0 ? ' ' : char(0xe0 + i % 30);
    EXPECT_CONTAINS(refusal("k.txt", cyrillic), "not UTF-8 text (");
    EXPECT_CONTAINS(refusal("it's here", "\x04\x22\x4d\x18\x40"), "it'\\''s here' | gpas");
}

TEST_F(RecognisingInputs, WhatIsCompressedTwiceIsNamedWithTheTwoCommands) {
    for (const auto& [bytes, name, command] :
         std::vector<std::array<std::string, 3>>{{"\x1f\x8b\x08\0"s, "gzip data", "gzip -dc"},
                                                 {"BZh91AY&SY\x3a\x51", "bzip2 data", "bzip2 -dc"},
                                                 {"\xfd"
                                                  "7zXZ\0\0"s,
                                                  "xz data", "xz -dc"}}) {
        gzip("f.gz", bytes);
        const std::string message = error_of([&] { open_inputs({folder / "f.gz"}, {}, "text"); });
        EXPECT_CONTAINS(message, "f.gz: holds " + name + " in compressed form");
        EXPECT_CONTAINS(message, "`gzip -dc " + (folder / "f.gz") + " | " + command + " | gpas prepare --input - ...`");
    }
}

TEST_F(RecognisingInputs, TheTextMayBeUnderSeveralOrNestedKeys) {
    const std::string line = "{\"title\": \"t\", \"meta\": {\"body\": \"b\"}}\n";
    EXPECT_EQ(open("k.txt", line, {}, "title,meta.body").documents, DocumentMode::jsonl);
    EXPECT_CONTAINS(error_of([&] { open("k.txt", line, {}, "title,body"); }),
                    "without a string under \"title,body\": name the key of the text with --text-key");
}

TEST_F(RecognisingInputs, JsonThatIsNotJsonLinesIsRefusedWithTheConversion) {
    for (const auto documents : {std::optional<DocumentMode>(), std::optional(DocumentMode::jsonl)}) {
        const std::string pretty = refusal("p.json", "{\n  \"text\": \"a\"\n}\n", documents);
        EXPECT_CONTAINS(pretty, "is JSON over several lines, expected JSON lines");
        EXPECT_CONTAINS(pretty, "`jq -c . " + (folder / "p.json") + " | gpas prepare --input - --documents jsonl ...`");
        for (const char* array :
             {"[{\"text\": \"a\"}, {\"text\": \"b\"}]\n", "[\n  {\"text\": \"a\"}\n]\n", "[\"a\", \"b\"]"})
            EXPECT_CONTAINS(refusal("a.json", array, documents), "is a JSON array");
        std::string large = "[";
        while (large.size() < 200000) large += "{\"text\": \"a\"},\n";
        EXPECT_CONTAINS(refusal("large", large, documents), "`jq -c '.[]' ");
    }
    EXPECT_EQ(open("p.json", "{\n  \"text\": \"a\"\n}\n", DocumentMode::file).documents, DocumentMode::file);
    EXPECT_CONTAINS(refusal("page.jsonl", "<!DOCTYPE html>\n<html>"), "is an HTML page");
    EXPECT_CONTAINS(refusal("keyless.txt", "{\"body\": \"x\"}\n"), "--text-key");
}

TEST_F(RecognisingInputs, InputsAreOfOneKind) {
    write_bytes(folder / "in/a.jsonl", good_line);
    write_bytes(folder / "in/README.md", "about\n");
    write_bytes(folder / "in/empty", "");
    EXPECT_CONTAINS(error_of([&] { open_inputs({folder / "in"}, {}, "text"); }, ExitCode::usage),
                    "is plain text: prepare the two kinds");
    EXPECT_EQ(open_inputs({folder / "in"}, DocumentMode::jsonl, "text").files.size(), 3u);
    EXPECT_EQ(open_inputs({folder / "in/a.jsonl", folder / "in/empty"}, {}, "text").documents, DocumentMode::jsonl);
    const TextInputs twice = open_inputs({folder / "in/a.jsonl", folder / "in/./a.jsonl"}, {}, "text");
    EXPECT_EQ(twice.files.size(), 2u);
    EXPECT_CONTAINS(twice.notices.back(), "listed more than once");
}

TEST_F(RecognisingInputs, OddFoldersEndInOneLine) {
    write_bytes(folder / "in/a.txt", "x");
    std::filesystem::create_symlink("nowhere", folder / "in/dangling");
    std::filesystem::create_symlink("loop", folder / "in/loop");
    ASSERT_EQ(::mkfifo((folder / "in/pipe").c_str(), 0600), 0);
    EXPECT_EQ(list_text_files({folder / "in"}), (std::vector<std::string>{folder / "in/a.txt"}));
    std::filesystem::create_directory(folder / "elsewhere");
    std::filesystem::create_directory_symlink(folder / "elsewhere", folder / "in/linked");
    EXPECT_CONTAINS(error_of([&] { list_text_files({folder / "in"}); }), "linked: is a link to a folder");
}

}  // namespace
}  // namespace gpas::test
