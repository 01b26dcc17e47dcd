#include "data_fixtures.hpp"
#include "io/data/text_key.hpp"

#include <gtest/gtest.h>

namespace gpas::test {
namespace {

// The text, or "! " and the reason.
std::string text_of(const std::string& line, const std::string& keys) {
    std::string text = "of the line before";
    BadLine bad;
    return text_under_keys(line, keys, text, bad) ? text : "! " + bad.reason;
}

LineProblem problem_of(const std::string& line, const std::string& keys) {
    std::string text;
    BadLine bad;
    EXPECT_FALSE(text_under_keys(line, keys, text, bad));
    return bad.problem;
}

TEST(TextKey, APlainKeyIsThatOfTheOutermostObject) {
    EXPECT_EQ(text_of(R"({"a": {"text": "inner"}, "text": "x"})", "text"), "x");
    EXPECT_EQ(text_of(R"({"a": {"text": "inner"}})", "text"), "! the object has no \"text\" (its keys are \"a\")");
}

TEST(TextKey, DotsLeadThroughNestedObjects) {
    const std::string line =
        R"( {"b": "no", "a": {"x": ["}", {"b": "no"}], "b" : "y\u00e9s", "c": {"d": "deep"}}, "d": "no"} )";
    EXPECT_EQ(text_of(line, "a.b"), "y\xc3\xa9s");
    EXPECT_EQ(text_of(line, "a.c.d"), "deep");
    EXPECT_EQ(text_of("\xef\xbb\xbf" + line, "a.c.d"), "deep");
    EXPECT_EQ(text_of(R"({"a": {"b": "1"}, "a": {"b": "2", "b": "3"}})", "a.b"), "3");
    EXPECT_EQ(text_of(R"({"a": {"": {"b": "x"}}})", "a..b"), "x");
}

TEST(TextKey, AKeyThatHasTheDotsItselfComesFirst) {
    EXPECT_EQ(text_of(R"({"a": {"b": "path"}, "a.b": "key"})", "a.b"), "key");
    EXPECT_EQ(text_of(R"({"a.b": 5, "a": {"b": "path"}})", "a.b"), "! \"a.b\" is a JSON number, expected a string");
}

TEST(TextKey, SeveralTextsAreJoinedWithNewlinesInTheOrderOfTheKeys) {
    const std::string line = R"({"text": "body\n", "title": "T", "a": {"b": ""}})";
    EXPECT_EQ(text_of(line, "title,text"), "T\nbody\n");
    EXPECT_EQ(text_of(line, "text,title"), "body\n\nT");
    EXPECT_EQ(text_of(line, "title,a.b,title"), "T\n\nT");
}

TEST(TextKey, WhatIsMissingIsNamed) {
    const std::string line = R"({"id": 1, "a": {"x": [], "n": 5}, "s": "t"})";
    EXPECT_EQ(text_of(line, "a.b"),
              "! no text under \"a.b\": in \"a\", the object has no \"b\" (its keys are \"x\", \"n\")");
    EXPECT_EQ(text_of(line, "m.b.c"),
              "! no text under \"m.b.c\": the object has no \"m\" (its keys are \"id\", \"a\", \"s\")");
    EXPECT_EQ(text_of(line, "a.x.c"), "! no text under \"a.x.c\": in \"a\", \"x\" is a JSON array, expected an object");
    EXPECT_EQ(text_of(line, "s.b"), "! no text under \"s.b\": \"s\" is a JSON string, expected an object");
    EXPECT_EQ(text_of(line, "a.n"), "! no text under \"a.n\": in \"a\", \"n\" is a JSON number, expected a string");
    EXPECT_EQ(text_of(line, "s,title"), "! the object has no \"title\" (its keys are \"id\", \"a\", \"s\")");
    EXPECT_EQ(text_of(line, "s,id"), "! \"id\" is a JSON number, expected a string");
    EXPECT_EQ(problem_of(line, "a.b"), LineProblem::no_key);
    EXPECT_EQ(problem_of(line, "s.b"), LineProblem::no_key);
    EXPECT_EQ(problem_of(line, "s,a.n"), LineProblem::not_string);
    EXPECT_EQ(problem_of("[1]", "a.b"), LineProblem::not_object);
    EXPECT_EQ(problem_of("{\"a\": {\"b\": \"x\"}", "a.b"), LineProblem::not_json);
    EXPECT_EQ(problem_of("{\"a\": {\"b\": \"x\"}, \"s\": \"\"}}", "s,a.b"), LineProblem::not_json);
}

TEST(TextKey, ImpossibleKeysAreRefused) {
    for (const char* keys : {"", ",", "a,", ",a", "a,,b"})
        EXPECT_CONTAINS(error_of([&] { check_text_keys(keys); }, ExitCode::usage), "has an empty key");
    EXPECT_CONTAINS(error_of([&] { check_text_keys("a,b/c"); }, ExitCode::usage), "without /");
    for (const char* keys : {"text", "a.b", "a.b,c", "."}) EXPECT_NO_THROW(check_text_keys(keys));
    EXPECT_EQ(text_keys_in_file_name("title,meta.text"), "title+meta.text");
}

}  // namespace
}  // namespace gpas::test
