#include "parallel/mpi/mpi_handle.hpp"

#include "base/error.hpp"

#include <string>

namespace gpas {

void check_mpi(int code, const char* call, const char* what) {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    fail(ExitCode::environment, "{} of {} failed: {}", call, what, std::string(text, std::size_t(length)));
}

}  // namespace gpas
