#include "io/data/json_line.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <random>
#include <string>
#include <vector>

namespace gpas::test {
namespace {

// The text, or the name of the problem.
std::string read(const std::string& line, const std::string& key = "text") {
    std::string text;
    BadLine bad;
    if (json_line_text(line, key, text, bad)) return text;
    EXPECT_FALSE(bad.reason.empty());
    return "! " + std::string(line_problem_name(bad.problem));
}

TEST(JsonLine, GivesTheStringUnderTheKey) {
    EXPECT_EQ(read(R"({"text": "a"})"), "a");
    EXPECT_EQ(read(" {\"a\":[{\"text\":\"inner\"},[]] , \"text\" : \"outer\" ,\"b\":{}}\t\r"), "outer");
    EXPECT_EQ(read(R"({"text": "first", "text": "second"})"), "second");
    EXPECT_EQ(read(R"({"te\u0078t": "\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\ude00"})"),
              "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    EXPECT_EQ(read(R"({"text": "\u0000"})"), std::string(1, '\0'));
    EXPECT_EQ(read(R"({"": "empty"})", ""), "empty");
    EXPECT_EQ(read("\xef\xbb\xbf{\"text\": \"after a byte order mark\"}"), "after a byte order mark");
    EXPECT_EQ(read("{\"text\": \"\x7f\xc3\xa9\"}"), "\x7f\xc3\xa9");
}

TEST(JsonLine, ReadsWhatPythonWritesBeyondTheStandard) {
    const std::string digits(100000, '9');
    const std::vector<std::string> values{"NaN",         "Infinity",    "-Infinity", digits,   "-" + digits,
                                          "0." + digits, "1e" + digits, "-0.0",      "1E+400", "5e-324"};
    for (const std::string& value : values)
        EXPECT_EQ(read("{\"a\": " + value + ", \"text\": \"x\", \"b\": [" + value + "]}"), "x");
    EXPECT_EQ(read(R"({"text": "a\ud800b"})"),
              "a\xff"
              "b");
    EXPECT_EQ(read(R"({"text": "\ude00\ud83d"})"), "\xff\xff");
    EXPECT_EQ(read(R"({"text": "\ud800\ud83d\ude00\ud800\u0041"})"),
              "\xff\xf0\x9f\x98\x80\xff"
              "A");
    EXPECT_EQ(read(R"({"\ud800": 1, "text": "x"})"), "x");
}

TEST(JsonLine, TellsKindsOfBadLinesApart) {
    for (const char* line : {"",
                             "x",
                             "{",
                             "{\"text\": \"a\"",
                             "{\"text\": \"a",
                             "{\"text\": \"a\",}",
                             "{\"text\" \"a\"}",
                             "{text: \"a\"}",
                             "{'text': 'a'}",
                             "{\"text\": \"a\"} x",
                             "{\"text\": \"a\"}{}",
                             "[1,]",
                             "01",
                             "{\"text\": \"\\x\"}",
                             "{\"text\": \"\\u12g4\"}",
                             "{\"text\": \"a\tb\"}",
                             "nan",
                             "+1",
                             "1.",
                             "-",
                             "{\"text\": \"a\", \"b\": tru}",
                             "{\"text\": \"a\", \"b\": .5}",
                             "[\"a\"",
                             "{\"a\": 1]",
                             "{,}"})
        EXPECT_EQ(read(line), "! not JSON") << line;
    for (const char* line : {"[]", "[{\"text\": \"a\"}]", "\"text\"", "5", "NaN", "null", "true"})
        EXPECT_EQ(read(line), "! not a JSON object") << line;
    for (const char* line : {"{}", "{\"txt\": \"a\"}", "{\"a\": {\"text\": \"b\"}}", "{\"a\": \"text\"}"})
        EXPECT_EQ(read(line), "! without the key") << line;
    for (const char* line :
         {"{\"text\": 5}", "{\"text\": null}", "{\"text\": [\"a\"]}", "{\"text\": \"a\", \"text\": {}}"})
        EXPECT_EQ(read(line), "! value is not a string") << line;
    BadLine bad;
    std::string text;
    EXPECT_FALSE(json_line_text("{\"id\": {\"a\": 1}, \"body\": \"b\"}", "text", text, bad));
    EXPECT_EQ(bad.reason, "the object has no \"text\" (its keys are \"id\", \"body\")");
    EXPECT_FALSE(json_line_text("{\"text\": fals}", "text", text, bad));
    EXPECT_EQ(bad.reason, "is not JSON: expected a value at byte 10 of the line");
}

TEST(JsonLine, DepthCostsNoStack) {
    const std::size_t depth = 2000000;
    EXPECT_EQ(read("{\"a\": " + std::string(depth, '[') + std::string(depth, ']') + ", \"text\": \"x\"}"), "x");
    EXPECT_EQ(read(std::string(depth, '[')), "! not JSON");
    std::string objects;
    for (int i = 0; i < 100000; ++i) objects += "{\"text\":";
    EXPECT_EQ(read(objects), "! not JSON");
}

// Lines of valid JSON with one byte changed: nlohmann/json, which is stricter in known ways only, decides the same.
TEST(JsonLine, AgreesWithNlohmannJsonOnRandomDamage) {
    const std::string line =
        R"({"id": [1, -2.5e3, {"k": null, "l": [true, false]}], "text": "a\n\u00e9 \"q\" \\", "n": {}, "m": []})";
    const std::string bytes = "{}[]\",:\\ 0123.eE+-tfnuxaN\x01\t";
    std::mt19937 random(1);
    int good = 0;
    for (int i = 0; i < 20000; ++i) {
        std::string changed = line;
        for (unsigned k = 0; k <= random() % 2; ++k) {
            const std::size_t at = random() % changed.size();
            switch (random() % 3) {
                case 0: changed[at] = bytes[random() % bytes.size()]; break;
                case 1: changed.erase(at, 1 + random() % 3); break;
                default: changed.insert(at, 1, bytes[random() % bytes.size()]);
            }
        }
        if (changed.find("\\ud") != std::string::npos || changed.find("e3") == std::string::npos) continue;
        const auto parsed = nlohmann::json::parse(changed, nullptr, false);
        const bool text = parsed.is_object() && parsed.contains("text") && parsed["text"].is_string();
        good += text;
        const std::string found = read(changed);
        if (text) {
            ASSERT_EQ(found, parsed["text"].get<std::string>()) << changed;
        } else {
            ASSERT_EQ(found.substr(0, 2), "! ") << changed;
            ASSERT_EQ(found == "! not JSON", parsed.is_discarded()) << changed;
        }
    }
    EXPECT_GT(good, 2000);
}

}  // namespace
}  // namespace gpas::test
