// Stacks and the switch between them: some tens of nanoseconds on x86-64, a system call longer elsewhere.
#pragma once

#include <cstddef>

namespace gpas::hostcuda {

// Saves the caller's registers on its stack and `*save`, and continues at the point that `load` was saved at.
extern "C" void gpas_hostcuda_switch(void** save, void* load);

// `count` stacks with a page before each that may not be touched: running over the end ends the program at once.
class Stacks {
public:
    explicit Stacks(std::size_t count);
    ~Stacks();
    Stacks(const Stacks&) = delete;
    Stacks& operator=(const Stacks&) = delete;

    std::size_t count() const { return count_; }
    // A stack pointer from which gpas_hostcuda_switch enters `entry`, which never returns.
    void* prepare(std::size_t i, void (*entry)());

private:
    std::size_t count_;
    std::byte* memory_;
};

}  // namespace gpas::hostcuda
