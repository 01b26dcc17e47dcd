// Libraries that gpas opens when it first needs them, so that it starts, and runs on the CPU, on machines without them.
#pragma once

#include <string>
#include <vector>

namespace gpas {

// What to open, and what to tell a user who does not have it.
struct SharedLibraryRequest {
    std::string name;                      // of the library, as its vendor writes it: "NCCL"
    std::string file;                      // its file name with its ABI version: "libnccl.so.2"
    std::vector<std::string> directories;  // where to look if the dynamic loader does not find the file
    std::string purpose;                   // what gpas needs it for
    std::string advice;                    // what to do without it
};

// An open library. It stays open until the process ends: CUDA's libraries register functions that run at exit.
class SharedLibrary {
public:
    // Looks where the dynamic loader looks (LD_LIBRARY_PATH, ldconfig's cache), then in `directories`.
    // Error(environment) names the file, the places and what to do. Thread-safe; to open a library again is cheap.
    explicit SharedLibrary(const SharedLibraryRequest& request);

    // pointer = the address of the function `symbol`, whose type the caller vouches for. Error(environment) if the
    // library has no such function.
    template <class Function>
    void find(Function*& pointer, const char* symbol) const {
        pointer = reinterpret_cast<Function*>(address(symbol));
    }

private:
    void* address(const char* symbol) const;

    std::string name_;
    std::string path_;  // that was opened
    void* handle_ = nullptr;
};

}  // namespace gpas
