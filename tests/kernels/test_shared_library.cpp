// Libraries that are opened on first use: what is found, and what a user is told about what is not.
#include "base/error.hpp"
#include "base/shared_library.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

namespace gpas {
namespace {

SharedLibraryRequest request_of(const std::string& file, std::vector<std::string> directories = {}) {
    return {.name = "the library",
            .file = file,
            .directories = std::move(directories),
            .purpose = "the test",
            .advice = "Install it"};
}

std::string error_of(const SharedLibraryRequest& request) {
    try {
        const SharedLibrary library(request);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::environment);
        return error.what();
    }
    return "opened";
}

TEST(SharedLibrary, finds_functions) {
    const SharedLibrary library(request_of("libm.so.6"));
    double (*cosine)(double) = nullptr;
    library.find(cosine, "cos");
    EXPECT_EQ(cosine(0.0), 1.0);
}

TEST(SharedLibrary, names_a_function_that_is_missing) {
    const SharedLibrary library(request_of("libm.so.6"));
    void (*function)() = nullptr;
    try {
        library.find(function, "no_such_function");
        FAIL() << "found";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::environment);
        const std::string text = error.what();
        EXPECT_NE(text.find("libm.so.6 has no function no_such_function"), std::string::npos) << text;
    }
}

TEST(SharedLibrary, lists_where_it_looked) {
    const test_support::ScratchDirectory directory;
    const std::string empty = directory / "empty", damaged = directory / "damaged";
    std::filesystem::create_directories(empty);
    std::filesystem::create_directories(damaged);
    std::ofstream(damaged + "/libgpas_missing.so.7") << "no library";
    const std::string text = error_of(request_of("libgpas_missing.so.7", {empty, damaged}));
    for (const std::string& part :
         {std::string("the library (libgpas_missing.so.7) cannot be opened"), std::string("for the test"),
          empty + "/libgpas_missing.so.7: no such file", damaged + "/libgpas_missing.so.7", std::string("Install it")})
        EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
    EXPECT_EQ(text.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace gpas
