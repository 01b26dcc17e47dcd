// Configuration files on disk for one test, and the error that loading them gives.
#pragma once

#include "base/error.hpp"
#include "io/config/load.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace gpas {

class ConfigFiles {
public:
    // Returns the file's path.
    std::string write(const std::string& name, const std::string& text) const {
        const auto path = folder_.get() / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << text;
        return path.string();
    }
    std::string path(const std::string& name) const { return folder_ / name; }

private:
    test_support::ScratchDirectory folder_;
};

// The message of the usage error that `action` must throw: one line.
inline std::string usage_error(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
        const std::string message = error.what();
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
        return message;
    }
    ADD_FAILURE() << "nothing was refused";
    return "";
}

inline std::string error_of_text(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return usage_error([&] { load_config_text(text, "run.yaml", overrides); });
}

// That the message starts with `head` and has every one of `words`.
inline void expect_message(const std::string& message, const std::string& head, const std::vector<std::string>& words) {
    EXPECT_TRUE(message.starts_with(head)) << "message: " << message << "\nexpected head: " << head;
    for (const std::string& word : words) {
        EXPECT_NE(message.find(word), std::string::npos) << "message: " << message << "\nmissing: " << word;
    }
}

}  // namespace gpas
