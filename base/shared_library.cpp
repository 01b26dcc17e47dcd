#include "base/shared_library.hpp"

#include "base/error.hpp"

#include <dlfcn.h>
#include <fmt/ranges.h>

#include <filesystem>

namespace gpas {
namespace {

// Opens the library at `path`. Null if that fails; then reasons += the loader's error text.
void* open(const std::string& path, std::vector<std::string>& reasons) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        const char* reason = dlerror();
        reasons.emplace_back(reason != nullptr ? reason : path + ": cannot be opened");
    }
    return handle;
}

}  // namespace

SharedLibrary::SharedLibrary(const SharedLibraryRequest& request) : name_(request.name), path_(request.file) {
    std::vector<std::string> reasons;
    handle_ = open(path_, reasons);
    for (const std::string& directory : request.directories) {
        if (handle_ != nullptr) return;
        const std::filesystem::path file = std::filesystem::path(directory) / request.file;
        std::error_code error;
        if (!std::filesystem::exists(file, error)) {
            reasons.push_back(file.string() + ": no such file");
            continue;
        }
        path_ = file.string();
        handle_ = open(path_, reasons);
    }
    if (handle_ == nullptr)
        fail(ExitCode::environment, "{} ({}) cannot be opened; gpas needs it for {}. Tried: {}. {}", name_,
             request.file, request.purpose, fmt::join(reasons, "; "), request.advice);
}

void* SharedLibrary::address(const char* symbol) const {
    dlerror();  // clears the error of an earlier call
    void* found = dlsym(handle_, symbol);
    if (found == nullptr)
        fail(ExitCode::environment, "{}: {} has no function {}: gpas was built for another version of {}", name_, path_,
             symbol, name_);
    return found;
}

}  // namespace gpas
