// main() of every test program. Initialises MPI, because some tests need it. Without mpirun there is one rank.
#include "parallel/communicator.hpp"
#include "parallel/mpi/mpi_session.hpp"

#include <gtest/gtest.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include <cstdlib>
#include <optional>
#include <string>

namespace {

// MPI loads libraries in MPI_Init and unloads them in MPI_Finalize; the memory that they keep looks leaked. So
// LeakSanitizer ignores MPI_Init, searches before MPI_Finalize, and does not search in programs that a test starts.
#ifdef __SANITIZE_ADDRESS__
void begin(std::optional<gpas::MpiSession>& mpi, int argc, char** argv) {
    const char* options = std::getenv("ASAN_OPTIONS");
    setenv("ASAN_OPTIONS", (std::string(options ? options : "") + ":detect_leaks=0").c_str(), 1);
    const __lsan::ScopedDisabler leaks_are_ignored;
    mpi.emplace(&argc, &argv);
}
void look_for_leaks() { __lsan_do_leak_check(); }
#else
void begin(std::optional<gpas::MpiSession>& mpi, int argc, char** argv) { mpi.emplace(&argc, &argv); }
void look_for_leaks() {}
#endif

}  // namespace

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    std::optional<gpas::MpiSession> mpi;
    begin(mpi, argc, argv);
    const int status = RUN_ALL_TESTS();
    look_for_leaks();
    return status;
}
