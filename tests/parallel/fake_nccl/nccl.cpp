// NCCL for the emulated GPU, in place of parallel/nccl_library.cpp: collectives of fp32, bf16 and fp64 sums between
// processes of one machine, through shared memory. A call returns when all ranks of its communicator have made it.
#include "kernels/tensor.hpp"
#include "parallel/nccl_library.hpp"
#include "tests/hostcuda/device_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

// NCCL declares it, and leaves it to its library.
struct ncclComm {
    int rank = 0;
    int size = 0;
    std::string name;         // of the shared memory
    unsigned char* memory{};  // a header, then a slot for each rank
};

namespace gpas {
namespace {

constexpr std::size_t slot_bytes = 1 << 18;

struct Header {
    std::atomic<int> arrived;
    std::atomic<int> round;
};
constexpr std::size_t header_bytes = 64;

std::size_t bytes_of(const ncclComm& comm) { return header_bytes + std::size_t(comm.size) * slot_bytes; }
unsigned char* slot(const ncclComm& comm, int rank) {
    return comm.memory + header_bytes + std::size_t(rank) * slot_bytes;
}

void barrier(const ncclComm& comm) {
    auto* header = reinterpret_cast<Header*>(comm.memory);
    const int round = header->round.load();
    if (header->arrived.fetch_add(1) + 1 == comm.size) {
        header->arrived.store(0);
        header->round.store(round + 1);
        return;
    }
    while (header->round.load() == round) usleep(20);
}

std::size_t size_of(ncclDataType_t type) { return type == ncclBfloat16 ? 2 : type == ncclFloat64 ? 8 : 4; }

float widened(std::uint16_t bits) {
    const std::uint32_t word = std::uint32_t(bits) << 16;
    float value = 0.0F;
    std::memcpy(&value, &word, sizeof value);
    return value;
}
std::uint16_t rounded(float value) {
    std::uint32_t word = 0;
    std::memcpy(&word, &value, sizeof word);
    return std::uint16_t((word + 0x7fffU + ((word >> 16) & 1U)) >> 16);
}

// out = the sum over ranks, in rank order, of `count` elements that lie `offset` bytes into their slots.
void sum_slots(const ncclComm& comm, void* out, std::size_t offset, std::size_t count, ncclDataType_t type) {
    for (std::size_t i = 0; i < count; ++i) {
        double sum = 0.0;
        for (int rank = 0; rank < comm.size; ++rank) {
            const unsigned char* from = slot(comm, rank) + offset + i * size_of(type);
            if (type == ncclBfloat16) {
                std::uint16_t bits = 0;
                std::memcpy(&bits, from, sizeof bits);
                sum += double(widened(bits));
            } else if (type == ncclFloat32) {
                float value = 0.0F;
                std::memcpy(&value, from, sizeof value);
                sum += double(value);
            } else {
                double value = 0.0;
                std::memcpy(&value, from, sizeof value);
                sum += value;
            }
        }
        unsigned char* to = static_cast<unsigned char*>(out) + i * size_of(type);
        if (type == ncclBfloat16) {
            const std::uint16_t bits = rounded(float(sum));
            std::memcpy(to, &bits, sizeof bits);
        } else if (type == ncclFloat32) {
            const float value = float(sum);
            std::memcpy(to, &value, sizeof value);
        } else {
            std::memcpy(to, &sum, sizeof sum);
        }
    }
}

// Calls body(begin, n) for pieces of `elements` elements of which `shares` fit into a slot.
template <class Body>
void in_pieces(std::size_t elements, std::size_t shares, ncclDataType_t type, Body&& body) {
    const std::size_t most = slot_bytes / (shares * size_of(type));
    for (std::size_t begin = 0; begin < elements; begin += most) body(begin, std::min(most, elements - begin));
}

bool summable(ncclDataType_t type, ncclRedOp_t op) {
    return op == ncclSum && (type == ncclBfloat16 || type == ncclFloat32 || type == ncclFloat64);
}

ncclResult_t all_reduce(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t op,
                        ncclComm_t comm, cudaStream_t) {
    if (!summable(type, op)) return ncclInvalidUsage;
    const hostcuda::DeviceAccess access;
    const std::size_t size = size_of(type);
    in_pieces(count, 1, type, [&](std::size_t begin, std::size_t n) {
        std::memcpy(slot(*comm, comm->rank), static_cast<const unsigned char*>(from) + begin * size, n * size);
        barrier(*comm);
        sum_slots(*comm, static_cast<unsigned char*>(to) + begin * size, 0, n, type);
        barrier(*comm);
    });
    return ncclSuccess;
}

ncclResult_t reduce_scatter(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t op,
                            ncclComm_t comm, cudaStream_t) {
    if (!summable(type, op)) return ncclInvalidUsage;
    const hostcuda::DeviceAccess access;
    const std::size_t size = size_of(type);
    const auto share_bytes = slot_bytes / std::size_t(comm->size) / 8 * 8;
    in_pieces(count, std::size_t(comm->size) * 2, type, [&](std::size_t begin, std::size_t n) {
        for (int rank = 0; rank < comm->size; ++rank)
            std::memcpy(slot(*comm, comm->rank) + std::size_t(rank) * share_bytes,
                        static_cast<const unsigned char*>(from) + (std::size_t(rank) * count + begin) * size, n * size);
        barrier(*comm);
        sum_slots(*comm, static_cast<unsigned char*>(to) + begin * size, std::size_t(comm->rank) * share_bytes, n,
                  type);
        barrier(*comm);
    });
    return ncclSuccess;
}

ncclResult_t all_gather(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclComm_t comm,
                        cudaStream_t) {
    const hostcuda::DeviceAccess access;
    const std::size_t size = size_of(type);
    in_pieces(count, 1, type, [&](std::size_t begin, std::size_t n) {
        std::memcpy(slot(*comm, comm->rank), static_cast<const unsigned char*>(from) + begin * size, n * size);
        barrier(*comm);
        for (int rank = 0; rank < comm->size; ++rank)
            std::memcpy(static_cast<unsigned char*>(to) + (std::size_t(rank) * count + begin) * size, slot(*comm, rank),
                        n * size);
        barrier(*comm);
    });
    return ncclSuccess;
}

ncclResult_t make_id(ncclUniqueId* id) {
    static std::atomic<int> next{0};
    std::memset(id, 0, sizeof *id);
    const std::string name = "/gpas_nccl_" + std::to_string(getpid()) + "_" + std::to_string(next++);
    std::memcpy(id->internal, name.c_str(), name.size());
    return ncclSuccess;
}

ncclResult_t begin(ncclComm_t* comm, int size, ncclUniqueId id, int rank, ncclConfig_t*) {
    auto* made = new ncclComm{.rank = rank, .size = size, .name = id.internal};
    *comm = made;
    const int file = shm_open(made->name.c_str(), O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, off_t(bytes_of(*made))) != 0) return ncclSystemError;
    void* memory = mmap(nullptr, bytes_of(*made), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) return ncclSystemError;
    made->memory = static_cast<unsigned char*>(memory);
    barrier(*made);
    shm_unlink(made->name.c_str());
    return ncclInProgress;
}

ncclResult_t end(ncclComm_t comm) {
    munmap(comm->memory, bytes_of(*comm));
    delete comm;
    return ncclSuccess;
}

ncclResult_t state_of(ncclComm_t comm, ncclResult_t* state) {
    *state = comm->memory != nullptr ? ncclSuccess : ncclSystemError;
    return ncclSuccess;
}

ncclResult_t send(const void*, std::size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t) { return ncclInvalidUsage; }
ncclResult_t receive(void*, std::size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t) { return ncclInvalidUsage; }

}  // namespace

Nccl load_nccl() {
    return {.ncclAllGather = all_gather,
            .ncclAllReduce = all_reduce,
            .ncclCommAbort = end,
            .ncclCommDestroy = end,
            .ncclCommGetAsyncError = state_of,
            .ncclCommInitRankConfig = begin,
            .ncclGetErrorString = [](ncclResult_t) { return "an error of the emulated NCCL"; },
            .ncclGetLastError = [](ncclComm_t) { return ""; },
            .ncclGetUniqueId = make_id,
            .ncclGroupEnd = [] { return ncclInProgress; },
            .ncclGroupStart = [] { return ncclSuccess; },
            .ncclRecv = receive,
            .ncclReduceScatter = reduce_scatter,
            .ncclSend = send};
}

}  // namespace gpas
