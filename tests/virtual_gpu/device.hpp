// One virtual GPU: streams whose work runs later, in an order that a seeded scheduler picks among those that streams,
// events and the hardware allow, and a checker that knows what must have ended before what.
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

// Work that ends when other ranks have come to it: a kernel of NCCL. All calls come from its GPU, one at a time.
class SharedWork {
public:
    virtual ~SharedWork() = default;
    virtual int blocks() const = 0;      // multiprocessors that it holds from start() until it is over
    virtual bool may_start() const = 0;  // whether earlier work of its communicator is over
    virtual void start() = 0;
    virtual bool moves() const = 0;               // whether poll() would do anything
    virtual bool poll() = 0;                      // whether it is over
    virtual std::uint64_t waits_for() const = 0;  // ranks of the job that it needs and that have not come, a bit each
    virtual BoardKey key() const = 0;             // the same on every rank that takes part
};

struct Record;  // one call of cudaEventRecord

struct Operation {
    Moment moment;
    Clock clock;
    std::uint64_t number = 0;  // of its GPU, in the order of the calls
    std::string name;
    std::function<void()> run;  // absent: one of the next three
    std::shared_ptr<Record> record;
    std::shared_ptr<Record> awaited;
    std::shared_ptr<SharedWork> shared;
    bool started = false;
    bool kernel = false;  // needs a free multiprocessor
    bool over = false;
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
    int queue = 0;
    std::uint32_t numbers = 0;  // of the last operation
    Clock clock;                // what is over when its next operation begins
    std::deque<OperationPointer> pending;
};

// What a cudaEvent_t points to.
struct Event {
    Device* device = nullptr;
    std::shared_ptr<Record> last;
};

// Thread-safe. A call that waits lets the GPU go on in the meantime.
class Device {
public:
    explicit Device(int ordinal);
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    int ordinal() const { return ordinal_; }

    Stream* create_stream();
    void destroy_stream(Stream* stream);  // what is pending on it goes on
    Stream* legacy_stream() { return legacy_; }

    // Enqueue. name: for reports.
    void enqueue(Stream* stream, std::string name, std::function<void()> run, bool kernel = false);
    // A kernel: is loaded first if modules are loaded lazily, which waits until the GPU is idle.
    void launch(Stream* stream, const void* function, std::function<void()> run);
    void enqueue(Stream* stream, std::string name, std::shared_ptr<SharedWork> work);
    void record(Stream* stream, Event& event);
    void wait(Stream* stream, const Event& event);

    // Of the host.
    bool finished(Stream* stream);
    bool finished(const Event& event);
    void synchronize(Stream* stream, const char* call);
    void synchronize(const Event& event);
    void synchronize(const char* call);

    void* allocate(std::size_t bytes);  // null if there is not enough
    void release(void* memory);         // waits for all work, as cudaFree
    bool owns(const void* memory) const;

    // Of the running operation, which is checked and recorded.
    void touch(const void* begin, std::size_t bytes, Access access);
    // Ends what communicators have given up: they finish without having done anything.
    void drop(const std::function<bool(const SharedWork&)>& which);
    // Lets the host poll for something that the hosts of other ranks do (ranks of the job, a bit each), with the GPU
    // going on.
    void yield(const char* host_call, std::uint64_t waits_for = 0);
    void stop_waiting();  // the host has what it polled for
    bool has_failed() const { return failed_; }
    // Runs `body` as if it were an operation on this GPU's memory, which the host cannot touch otherwise.
    void with_memory(const std::function<void()>& body);

private:
    using Clocks = std::chrono::steady_clock;
    using Lock = std::unique_lock<std::mutex>;

    // A call of the host.
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
    std::vector<std::vector<std::string>> names_;  // by stream's index and operation's number
    std::map<std::byte*, std::size_t> allocations_;
    std::set<const void*> loaded_;
    std::size_t next_address_ = 0;
    Clock host_;  // what the host knows to be over
    std::uint64_t calls_ = 0;
    int pending_ = 0, used_blocks_ = 0;
    const Operation* executing_ = nullptr;
    std::mt19937 random_;
    bool failed_ = false;
    bool open_ = false;  // the memory can be touched
    std::string host_call_;
    const Operation* host_awaits_ = nullptr;
    std::uint64_t host_waits_for_ = 0;
    Clocks::time_point last_call_, last_progress_;
    bool deadlock_reported_ = false;
    bool ending_ = false;
    std::thread worker_;
};

// The GPU that this thread has chosen (cudaSetDevice), or the one whose operation runs on this thread.
Device& current_device();
void choose_device(int ordinal);
int chosen_device();
// Kernels tell what they touch (instrument.cpp). Nothing if no operation runs on this thread.
void touch(const void* begin, std::size_t bytes, Access access);

}  // namespace gpas::virtual_gpu
