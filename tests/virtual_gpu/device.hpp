// One virtual GPU. Calls enqueue operations on streams; the operations run later, on the host's CPU. A seeded scheduler
// chooses their order among the orders that streams, events and hardware limits allow. A checker (shadow.hpp) reports
// operations whose order is not guaranteed although they touch the same memory.
#pragma once

#include "tests/virtual_gpu/board.hpp"
#include "tests/virtual_gpu/clock.hpp"
#include "tests/virtual_gpu/settings.hpp"
#include "tests/virtual_gpu/shadow.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace gpas::virtual_gpu {

// Fills memory that nothing was written to: four such bytes are a NaN in fp32 and bf16, and -1 as an integer.
inline constexpr int poison = 0xff;

// Work that ends only when other ranks have reached it: an NCCL kernel. Its GPU makes all calls, one at a time.
class SharedWork {
public:
    virtual ~SharedWork() = default;
    virtual int blocks() const = 0;      // multiprocessors that it occupies from start() until it ends
    virtual bool may_start() const = 0;  // whether earlier work of its communicator has ended
    virtual void start() = 0;
    virtual bool moves() const = 0;               // whether poll() would make progress
    virtual bool poll() = 0;                      // makes progress; returns whether the work has ended
    virtual std::uint64_t waits_for() const = 0;  // the job's ranks that have not reached it, one bit per rank
    virtual BoardKey key() const = 0;             // equal on every rank that takes part
};

struct Record;  // one call of cudaEventRecord

// One entry of a stream. Exactly one of run, record, awaited and shared is set.
struct Operation {
    Moment moment;
    Clock clock;
    std::uint64_t number = 0;  // position among all operations of its GPU, in the order of the calls
    std::string name;
    std::function<void()> run;           // a kernel, copy or memset
    std::shared_ptr<Record> record;      // cudaEventRecord
    std::shared_ptr<Record> awaited;     // cudaStreamWaitEvent
    std::shared_ptr<SharedWork> shared;  // an NCCL kernel
    bool started = false;
    bool kernel = false;  // needs a free multiprocessor
    bool over = false;    // has ended
};
using OperationPointer = std::shared_ptr<Operation>;

struct Record {
    Clock clock;
    bool reached = false;
    std::chrono::steady_clock::time_point time;
};

class Device;

// What a cudaStream_t points to.
struct Stream {
    Device* device = nullptr;
    int index = 0;
    int queue = 0;              // the hardware queue that it uses
    std::uint32_t numbers = 0;  // the number of its last operation
    Clock clock;                // the operations that have ended when its next operation begins
    std::deque<OperationPointer> pending;
};

// What a cudaEvent_t points to.
struct Event {
    Device* device = nullptr;
    std::shared_ptr<Record> last;
};

// Thread-safe. While a call waits, the GPU continues to run operations.
class Device {
public:
    explicit Device(int ordinal);
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    int ordinal() const { return ordinal_; }

    Stream* create_stream();
    void destroy_stream(Stream* stream);  // waits for its operations
    Stream* legacy_stream() { return legacy_; }

    // These add an operation to a stream. name: for reports. They wait while the launch queue is full.
    void enqueue(Stream* stream, std::string name, std::function<void()> run, bool kernel = false);
    // Adds a kernel. With lazy module loading, the first launch of a function loads it, which waits until the GPU is
    // idle.
    void launch(Stream* stream, const void* function, std::function<void()> run);
    void enqueue(Stream* stream, std::string name, std::shared_ptr<SharedWork> work);
    void record(Stream* stream, Event& event);
    void wait(Stream* stream, const Event& event);

    // Queries and waits of the host.
    bool finished(Stream* stream);
    bool finished(const Event& event);
    void synchronize(Stream* stream, const char* call);
    void synchronize(const Event& event);
    void synchronize(const char* call);

    void* allocate(std::size_t bytes);  // null if there is not enough memory
    void release(void* memory);         // waits for all operations, as cudaFree does
    bool owns(const void* memory) const;

    // Checks and records an access of the running operation.
    void touch(const void* begin, std::size_t bytes, Access access);
    // Ends the selected NCCL work without running it: its communicator was aborted.
    void drop(const std::function<bool(const SharedWork&)>& which);
    // One turn of a host loop that polls for an action of other ranks' hosts (waits_for: one bit per rank of the job).
    // The GPU continues to run operations. host_call: for the board.
    void yield(const char* host_call, std::uint64_t waits_for = 0);
    void stop_waiting();  // ends the polling that yield() has reported to the board
    bool has_failed() const { return failed_; }
    // Runs `body` with access to this GPU's memory, as an operation has it. Otherwise the host cannot touch that
    // memory.
    void with_memory(const std::function<void()>& body);

private:
    using Clocks = std::chrono::steady_clock;
    using Lock = std::unique_lock<std::mutex>;

    // Holds the lock during a call of the host, and makes the memory inaccessible to the host at its end.
    class Call : public Lock {
    public:
        explicit Call(Device& device) : Lock(device.mutex_), device_(device) {}
        ~Call() { device_.close(); }

    private:
        Device& device_;
    };

    OperationPointer make(Stream* stream, std::string name);
    void push(Stream* stream, OperationPointer operation);
    void await_room(Lock& lock);
    void called(Lock& lock);
    template <class Done>
    void wait_until(Lock& lock, const char* call, const Operation* awaited, Done&& done);
    bool idle() const { return pending_ == 0; }

    bool step();
    bool poll_running();
    bool ready(const Operation& operation) const;
    std::vector<OperationPointer> candidates() const;
    void dispatch(const OperationPointer& operation);
    void run_on_memory(const Operation& operation, const std::function<void()>& body);
    void complete(const OperationPointer& operation);
    void close();

    void work();
    void look_for_deadlock();
    BoardEntry board_entry();

    std::string describe(Moment moment) const;

    const int ordinal_;
    const Settings settings_;
    std::byte* const memory_;
    Shadow shadow_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::unique_ptr<Stream>> streams_;
    std::vector<int> free_indices_;
    int created_streams_ = 0;
    Stream* legacy_ = nullptr;
    std::vector<std::deque<OperationPointer>> queues_;
    std::vector<OperationPointer> running_;
    std::vector<std::vector<std::string>> names_;  // indices: the stream's index, the operation's number - 1
    std::map<std::byte*, std::size_t> allocations_;
    std::set<const void*> loaded_;
    std::size_t next_address_ = 0;
    Clock host_;  // the operations that the host knows to have ended
    std::uint64_t calls_ = 0;
    int pending_ = 0, used_blocks_ = 0;
    const Operation* executing_ = nullptr;
    std::mt19937 random_;
    bool failed_ = false;
    bool open_ = false;  // the memory is accessible
    std::string host_call_;
    const Operation* host_awaits_ = nullptr;
    std::uint64_t host_waits_for_ = 0;
    Clocks::time_point last_call_, last_progress_;
    bool deadlock_reported_ = false;
    bool ending_ = false;
    std::thread worker_;
};

// The GPU that this thread has chosen (cudaSetDevice), or the GPU whose operation runs on this thread.
Device& current_device();
void choose_device(int ordinal);
int chosen_device();
// Kernels report their memory accesses through this function (instrument.cpp). It does nothing if no operation runs on
// this thread.
void touch(const void* begin, std::size_t bytes, Access access);

}  // namespace gpas::virtual_gpu
