// Opens shared libraries at run time, so that gpas starts, and runs on CPUs, on machines without CUDA's libraries.
#pragma once

#include <string>
#include <vector>

namespace gpas {

// The library to open, and the texts of the error message if it is missing.
struct SharedLibraryRequest {
    std::string name;                      // the vendor's name of the library: "NCCL"
    std::string file;                      // file name with ABI version: "libnccl.so.2"
    std::vector<std::string> directories;  // searched if the dynamic loader does not find the file
    std::string purpose;                   // what gpas uses the library for
    std::string advice;                    // what the user can do if it is missing
};

// An open library. It is never closed, because CUDA's libraries register functions that run at exit.
class SharedLibrary {
public:
    // Searches as the dynamic loader does (LD_LIBRARY_PATH, ldconfig's cache), then in `directories`.
    // Error(environment) if the library is not found; the message names the file, the directories and the advice.
    // Thread-safe. Opening a library again is cheap.
    explicit SharedLibrary(const SharedLibraryRequest& request);

    // pointer = the address of the function `symbol`. The caller guarantees that its type is Function.
    // Error(environment) if the library has no such function. Thread-safe.
    template <class Function>
    void find(Function*& pointer, const char* symbol) const {
        pointer = reinterpret_cast<Function*>(address(symbol));
    }

private:
    void* address(const char* symbol) const;

    std::string name_;
    std::string path_;  // of the file that was opened
    void* handle_ = nullptr;
};

}  // namespace gpas
