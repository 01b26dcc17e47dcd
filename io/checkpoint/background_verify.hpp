// Checks the data of a checkpoint against its checksums while training continues.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

namespace gpas {

// Verifies one file at a time, on its own thread, which calls neither HDF5 nor MPI. All members must be called by one
// thread.
class BackgroundVerify {
public:
    BackgroundVerify() = default;
    ~BackgroundVerify();  // cancels the verification
    BackgroundVerify(const BackgroundVerify&) = delete;
    BackgroundVerify& operator=(const BackgroundVerify&) = delete;

    // The first problem in the data of `file`; empty if the data are intact; nullopt if the result is not known yet.
    // Does not wait. If no file is being verified, starts to verify `file`.
    std::optional<std::string> ask(const std::filesystem::path& file);
    bool running() const { return thread_.joinable() && !done_; }
    void wait();  // until the verification ends

private:
    std::filesystem::path file_;
    std::string damage_;
    std::thread thread_;
    std::atomic<bool> done_ = false;
    std::atomic<bool> cancelled_ = false;
};

}  // namespace gpas
