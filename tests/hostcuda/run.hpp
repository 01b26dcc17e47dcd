// Runs a kernel's blocks on the host: every thread of a block is a fibre, one warp runs as far as it can before the
// next (so that a missing barrier shows), shared memory begins full of NaN, and what a GPU leaves undefined ends the
// program with the list of waiting threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gpas::hostcuda {

struct Dim3 {
    unsigned x = 1, y = 1, z = 1;
    Dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}  // NOLINT: as CUDA's
};

struct Place {
    const char* file;
    int line;
    bool operator==(const Place&) const = default;
};

inline constexpr unsigned every_lane = 0xffffffffU;

// ---- for tests ------------------------------------------------------------------------------------------------------

// The order in which blocks, the warps of a block and the lanes of a warp run.
enum class Order { forward, reverse, random };
void set_order(Order order, unsigned seed = 1);

// A mistake planted at one place of a kernel's source, to see whether the tests of the kernel notice.
enum class FaultKind {
    none,
    drop_barrier,  // __syncthreads or __syncwarp does nothing
    wrong_lane,    // a shuffle reads four lanes off
    last_block,    // the last block of the grid does not run
    late_copy,     // a wait for asynchronous copies does not wait
    no_zeroing,    // what asks for zeroes (copies past the end of a tensor, memory set to 0) leaves memory as it is
};
struct Fault {
    FaultKind kind = FaultKind::none;
    Place place{"", 0};
};
void set_fault(const Fault& fault);
// The places that kernels reached since the last call of possible_faults(), once per kind that can be planted there.
std::vector<Fault> possible_faults();
bool zeroing_is_dropped();  // by a planted fault
// Thrown by run() if a kernel breaks the rules of execution: a deadlock, threads at different barriers.
struct BrokenExecution {
    std::string what;
};

// ---- for the vocabulary ---------------------------------------------------------------------------------------------

// Of the GPU that the kernels run on: at once in gpu.cpp, later on a virtual GPU (tests/virtual_gpu).
void enqueue(void* stream, const void* kernel, std::function<void()> body);
// Memory that a kernel reads or writes in addition to its own accesses: for the checker of virtual GPUs.
void touch_device(const void* begin, std::size_t bytes, bool writes);

void run(Dim3 grid, int threads, std::int64_t shared_bytes, const std::function<void()>& kernel);

const Dim3& thread_index();
const Dim3& block_index();
const Dim3& block_size();
const Dim3& grid_size();
int lane();

void* shared_array(const void* place, std::size_t bytes);
unsigned char* dynamic_shared();
void require_aligned(const void* pointer, std::size_t bytes, const char* what);

void block_barrier(Place place);
void warp_barrier(Place place, unsigned mask = every_lane);
// all[l] = lane l's mine for the lanes of mask, and poison for others, of 32 values; a barrier among the lanes of mask.
void exchange(Place place, unsigned mask, const void* mine, void* all, std::size_t bytes);
int shuffle_source(Place place, int lane);  // where a planted fault makes a shuffle read

template <class T>
T shuffle(Place place, unsigned mask, T value, int from) {
    T all[32];
    exchange(place, mask, &value, all, sizeof value);
    return all[shuffle_source(place, from) % 32];
}
template <class T>
T shuffle_xor(Place place, unsigned mask, T value, int other) {
    T all[32];
    exchange(place, mask, &value, all, sizeof value);
    return all[shuffle_source(place, lane() ^ other) % 32];
}
// Bit l: lane l's value.
inline unsigned ballot(Place place, unsigned mask, bool mine) {
    const unsigned char value = mine;
    unsigned char all[32];
    exchange(place, mask, &value, all, 1);
    unsigned bits = 0;
    for (int l = 0; l < 32; ++l) {
        const int source = shuffle_source(place, l) % 32;
        if (mask >> source & 1U) bits |= unsigned(all[source]) << l;
    }
    return bits;
}

void cp_async_16(void* shared, const void* global, bool read);
void cp_async_commit();
void cp_async_wait(int groups_under_way);

}  // namespace gpas::hostcuda
