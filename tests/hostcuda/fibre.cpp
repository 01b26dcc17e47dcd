#include "tests/hostcuda/fibre.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#ifndef __x86_64__
#error "tests/hostcuda switches stacks on x86-64 only; configure with -Dhostcuda=disabled here"
#endif

// Callee-saved registers stay on the stack that is left; the rest is the caller's business (System V ABI).
asm(R"(
.text
.globl gpas_hostcuda_switch
.type gpas_hostcuda_switch,@function
gpas_hostcuda_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size gpas_hostcuda_switch, .-gpas_hostcuda_switch
)");

namespace gpas::hostcuda {
namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t stack_bytes = 128 << 10;  // touched pages only take memory
constexpr std::size_t slot_bytes = page_bytes + stack_bytes;
constexpr int saved_registers = 6;

// Fibres never return from their functions, so AddressSanitizer still guards the variables of the last one, and would
// do so in whatever is stored at these addresses later.
#ifdef __SANITIZE_ADDRESS__
void forget_frames(std::byte* memory, std::size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
#else
void forget_frames(std::byte*, std::size_t) {}
#endif

}  // namespace

Stacks::Stacks(std::size_t count) : count_(count) {
    void* memory = mmap(nullptr, count * slot_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(memory);
    for (std::size_t i = 0; i < count; ++i) mprotect(memory_ + i * slot_bytes, page_bytes, PROT_NONE);
}

Stacks::~Stacks() {
    forget_frames(memory_, count_ * slot_bytes);
    munmap(memory_, count_ * slot_bytes);
}

void* Stacks::prepare(std::size_t i, void (*entry)()) {
    forget_frames(memory_ + i * slot_bytes + page_bytes, stack_bytes);
    auto* top = reinterpret_cast<void**>(memory_ + (i + 1) * slot_bytes);
    *--top = nullptr;  // in place of the return address of a call: keeps the stack aligned
    *--top = reinterpret_cast<void*>(entry);
    for (int r = 0; r < saved_registers; ++r) *--top = nullptr;
    return top;
}

}  // namespace gpas::hostcuda
