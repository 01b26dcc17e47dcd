// Replaces base/shared_library.cpp: NCCL and cuBLASLt are the virtual functions in this program itself.
#include "base/shared_library.hpp"

#include "base/error.hpp"

#include <dlfcn.h>

namespace gpas {

SharedLibrary::SharedLibrary(const SharedLibraryRequest& request) : name_(request.name) {}

void* SharedLibrary::address(const char* symbol) const {
    void* found = dlsym(RTLD_DEFAULT, symbol);
    if (found == nullptr) fail(ExitCode::environment, "the virtual {} has no {}", name_, symbol);
    return found;
}

}  // namespace gpas
