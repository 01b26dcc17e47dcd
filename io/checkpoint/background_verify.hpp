// Checks the data of a checkpoint against its checksums while training continues.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

namespace gpas {

// One file at a time, by a thread of its own that calls neither HDF5 nor MPI. For use by one thread.
class BackgroundVerify {
public:
    BackgroundVerify() = default;
    ~BackgroundVerify();  // gives up
    BackgroundVerify(const BackgroundVerify&) = delete;
    BackgroundVerify& operator=(const BackgroundVerify&) = delete;

    // The first problem of the data; empty: no problem. nullopt: not known yet; if no other file is being verified,
    // this call starts to verify this file.
    std::optional<std::string> ask(const std::filesystem::path& file);
    bool running() const { return thread_.joinable() && !done_; }
    void wait();

private:
    std::filesystem::path file_;
    std::string damage_;
    std::thread thread_;
    std::atomic<bool> done_ = false;
    std::atomic<bool> cancelled_ = false;
};

}  // namespace gpas
