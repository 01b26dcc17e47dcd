// What the tests of io/data share: a throw-away folder, files from bytes, and token files from lists of documents.
#pragma once

#include "base/error.hpp"
#include "io/data/indexed_writer.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace gpas::test {

using DataFolder = test_support::ScratchDirectory;

inline std::string read_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path);
    return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::string& path, const std::string& bytes) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
}

using Documents = std::vector<std::vector<std::int32_t>>;

inline void write_dataset(const std::string& prefix, const Documents& documents,
                          TokenDtype dtype = TokenDtype::uint16) {
    IndexedDatasetWriter writer(prefix, dtype);
    for (const auto& document : documents) {
        writer.append(document);
        writer.end_document();
    }
    writer.finish();
}

// The message of the Error that `action` throws, with its exit code checked; a test failure when it throws none.
inline std::string error_of(const std::function<void()>& action, ExitCode code = ExitCode::bad_file) {
    try {
        action();
    } catch (const Error& error) {
        EXPECT_EQ(int(error.code()), int(code)) << error.what();
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << "one line: " << error.what();
        return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
}

#define EXPECT_CONTAINS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << (text)

}  // namespace gpas::test
