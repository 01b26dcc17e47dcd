#include "tests/virtual_gpu/device.hpp"

#include "tests/hostcuda/run.hpp"
#include "tests/virtual_gpu/findings.hpp"
#include "tests/virtual_gpu/mistakes.hpp"
#include "tests/virtual_gpu/symbol.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace gpas::virtual_gpu {
namespace {

constexpr std::size_t region_bytes = std::size_t(2) << 30;
constexpr std::size_t page_bytes = 4096;
constexpr std::size_t poisoned_bytes = 1 << 20;  // at the start of each allocation
constexpr std::chrono::microseconds between_looks(100);
constexpr std::chrono::microseconds slowness(200);
constexpr std::chrono::milliseconds standstill(1);  // of the host, after which work runs that nobody asks for

std::byte* reserve() {
    void* memory = mmap(nullptr, region_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        std::perror("virtual GPU: memory");
        std::abort();
    }
    return static_cast<std::byte*>(memory);
}

thread_local Device* executing_device = nullptr;

}  // namespace

Device::Device(int ordinal)
    : ordinal_(ordinal),
      settings_(settings()),
      memory_(reserve()),
      shadow_(memory_, [this](Moment moment) { return describe(moment); }),
      queues_(std::size_t(settings_.queues)),
      names_(most_streams),
      random_(settings_.seed + unsigned(ordinal) * 7919U + unsigned(job_rank(0)) * 104729U),
      last_call_(Clocks::now()),
      last_progress_(last_call_),
      worker_([this] { work(); }) {
    for (int i = most_streams; i-- > 0;) free_indices_.push_back(i);
    legacy_ = create_stream();
}

Device::~Device() {
    {
        const Lock lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    worker_.join();
    munmap(memory_, region_bytes);
}

// ---- streams and events -------------------------------------------------------------------------------------------

Stream* Device::create_stream() {
    const Lock lock(mutex_);
    if (free_indices_.empty()) {
        std::fprintf(stderr, "virtual GPU: more than %d streams\n", most_streams);
        std::abort();
    }
    auto stream = std::make_unique<Stream>();
    stream->device = this;
    stream->index = free_indices_.back();
    free_indices_.pop_back();
    stream->queue = created_streams_++ % int(queues_.size());
    stream->numbers = std::uint32_t(names_[std::size_t(stream->index)].size());
    return streams_.emplace_back(std::move(stream)).get();
}

void Device::destroy_stream(Stream* stream) {
    Call lock(*this);
    // CUDA lets pending operations continue and does not make the host wait. Here the host waits, because the Stream
    // object is destroyed.
    wait_until(lock, "cudaStreamDestroy", nullptr, [&] { return stream->pending.empty(); });
    free_indices_.insert(free_indices_.begin(), stream->index);
    std::erase_if(streams_, [&](const auto& each) { return each.get() == stream; });
}

OperationPointer Device::make(Stream* stream, std::string name) {
    auto operation = std::make_shared<Operation>();
    operation->moment = Moment(stream->index, ++stream->numbers);
    operation->number = ++calls_;
    operation->name = std::move(name);
    stream->clock.join(host_);
    stream->clock.add(operation->moment);
    operation->clock = stream->clock;
    return operation;
}

void Device::push(Stream* stream, OperationPointer operation) {
    names_[std::size_t(stream->index)].push_back(operation->name);
    stream->pending.push_back(operation);
    queues_[std::size_t(stream->queue)].push_back(std::move(operation));
    if (++pending_ == 1) last_progress_ = Clocks::now();
    changed_.notify_all();
}

void Device::await_room(Lock& lock) {
    if (pending_ >= settings_.launch_queue)
        wait_until(lock, "a launch, for which the launch queue has no room",
                   running_.empty() ? nullptr : running_.front().get(),
                   [&] { return pending_ < settings_.launch_queue; });
}

// Runs operations at the end of a call of the host, as many as the scheduler chooses.
void Device::called(Lock&) {
    last_call_ = Clocks::now();
    if (settings_.scheduler == Scheduler::earliest)
        while (step()) continue;
    if (settings_.scheduler == Scheduler::random)
        while (random_() % 2 == 0 && step()) continue;
}

void Device::enqueue(Stream* stream, std::string name, std::function<void()> run, bool kernel) {
    Call lock(*this);
    await_room(lock);
    OperationPointer operation = make(stream, std::move(name));
    operation->run = std::move(run);
    operation->kernel = kernel;
    push(stream, std::move(operation));
    called(lock);
}

void Device::launch(Stream* stream, const void* function, std::function<void()> run) {
    {
        Call lock(*this);
        if (settings_.lazy_modules && loaded_.insert(function).second)
            wait_until(lock, "the first launch of a kernel, which is loaded while nothing runs",
                       running_.empty() ? nullptr : running_.front().get(), [&] { return idle(); });
    }
    enqueue(stream, "kernel " + symbol_of(function), std::move(run), true);
}

void Device::enqueue(Stream* stream, std::string name, std::shared_ptr<SharedWork> work) {
    Call lock(*this);
    await_room(lock);
    OperationPointer operation = make(stream, std::move(name));
    operation->shared = std::move(work);
    push(stream, std::move(operation));
    called(lock);
}

void Device::record(Stream* stream, Event& event) {
    Call lock(*this);
    await_room(lock);
    OperationPointer operation = make(stream, "an event's record");
    operation->record = std::make_shared<Record>();
    operation->record->clock = operation->clock;
    if (!planted(Mistake::no_record)) event.last = operation->record;
    push(stream, std::move(operation));
    called(lock);
}

void Device::wait(Stream* stream, const Event& event) {
    Call lock(*this);
    if (!event.last || planted(Mistake::no_wait)) return;
    await_room(lock);
    stream->clock.join(event.last->clock);
    OperationPointer operation = make(stream, "a wait for an event");
    operation->awaited = event.last;
    push(stream, std::move(operation));
    called(lock);
}

// ---- the host ------------------------------------------------------------------------------------------------------

// Blocks the host in a call until done() is true. The GPU runs operations meanwhile, with every scheduler.
template <class Done>
void Device::wait_until(Lock& lock, const char* call, const Operation* awaited, Done&& done) {
    while (!done()) {
        host_call_ = call;
        host_awaits_ = awaited;
        last_call_ = Clocks::now();
        if (step()) continue;
        close();
        lock.unlock();
        std::this_thread::sleep_for(between_looks);
        lock.lock();
    }
    host_awaits_ = nullptr;
}

bool Device::finished(Stream* stream) {
    Call lock(*this);
    last_call_ = Clocks::now();
    if (!stream->pending.empty() && planted(Mistake::no_synchronize)) return true;
    if (!stream->pending.empty()) {
        host_call_ = "a query of a stream";
        host_awaits_ = stream->pending.back().get();
        if (settings_.scheduler == Scheduler::earliest)
            while (step()) continue;
        else if (!step()) {
            close();
            lock.unlock();
            std::this_thread::sleep_for(between_looks);
            lock.lock();
        }
    }
    if (!stream->pending.empty()) return false;
    host_awaits_ = nullptr;
    host_.join(stream->clock);
    return true;
}

// With the latest scheduler a query runs no operation: an operation that is only queried ends when the host waits for
// it.
bool Device::finished(const Event& event) {
    Call lock(*this);
    if (!event.last) return true;
    if (settings_.scheduler != Scheduler::latest) called(lock);
    if (!event.last->reached) {  // the host asks again: the processor is for other ranks
        lock.unlock();
        std::this_thread::sleep_for(between_looks);
        lock.lock();
        return false;
    }
    host_.join(event.last->clock);
    return true;
}

void Device::synchronize(Stream* stream, const char* call) {
    Call lock(*this);
    wait_until(lock, call, stream->pending.empty() ? nullptr : stream->pending.back().get(),
               [&] { return stream->pending.empty(); });
    host_.join(stream->clock);
}

void Device::synchronize(const Event& event) {
    Call lock(*this);
    if (!event.last) return;
    wait_until(lock, "cudaEventSynchronize", nullptr, [&] { return event.last->reached; });
    host_.join(event.last->clock);
}

void Device::synchronize(const char* call) {
    Call lock(*this);
    wait_until(lock, call, running_.empty() ? nullptr : running_.front().get(), [&] { return idle(); });
    for (const auto& stream : streams_) host_.join(stream->clock);
}

void Device::yield(const char* host_call, std::uint64_t waits_for) {
    Call lock(*this);
    if (host_waits_for_ == 0) last_progress_ = Clocks::now();
    host_call_ = host_call;
    host_waits_for_ = waits_for;
    last_call_ = Clocks::now();
    step();
    changed_.notify_all();
}

void Device::stop_waiting() {
    const Call lock(*this);
    host_waits_for_ = 0;
}

// ---- memory --------------------------------------------------------------------------------------------------------

// Addresses are never used again, so that a use after release is detected.
void* Device::allocate(std::size_t bytes) {
    const Lock lock(mutex_);
    const std::size_t size = (std::max<std::size_t>(bytes, 1) + page_bytes - 1) / page_bytes * page_bytes;
    if (next_address_ + size > region_bytes) return nullptr;
    std::byte* const address = memory_ + next_address_;
    next_address_ += size;
    allocations_[address] = size;
    mprotect(address, size, PROT_READ | PROT_WRITE);
    std::memset(address, poison, std::min(size, poisoned_bytes));
    mprotect(address, size, open_ ? PROT_READ | PROT_WRITE : PROT_NONE);
    shadow_.allocated(address, bytes);
    return address;
}

void Device::release(void* memory) {
    Call lock(*this);
    if (memory == nullptr) return;
    const auto found = allocations_.find(static_cast<std::byte*>(memory));
    if (found == allocations_.end()) return report("cudaFree of memory that is not allocated, or no longer");
    if (pending_ > 0 && !running_.empty()) report("cudaFree while " + running_.front()->name + " has not ended");
    wait_until(lock, "cudaFree", running_.empty() ? nullptr : running_.front().get(), [&] { return idle(); });
    for (const auto& stream : streams_) host_.join(stream->clock);
    shadow_.freed(found->first, found->second);
    madvise(found->first, found->second, MADV_DONTNEED);
    allocations_.erase(found);
}

bool Device::owns(const void* memory) const {
    const auto* address = static_cast<const std::byte*>(memory);
    return address >= memory_ && address < memory_ + region_bytes;
}

void Device::touch(const void* begin, std::size_t bytes, Access access) {
    if (executing_ != nullptr) shadow_.access(executing_->moment, executing_->clock, begin, bytes, access);
}

void Device::run_on_memory(const Operation& operation, const std::function<void()>& body) {
    Device* const outer_device = std::exchange(executing_device, this);
    const Operation* const outer = std::exchange(executing_, &operation);
    if (!open_) mprotect(memory_, next_address_, PROT_READ | PROT_WRITE);
    open_ = true;
    try {
        body();
    } catch (const hostcuda::BrokenExecution& broken) {
        report(operation.name + ": " + broken.what);
        failed_ = true;
    }
    executing_ = outer;
    executing_device = outer_device;
}

// Makes the memory inaccessible before the host continues: the host must not touch GPU memory.
void Device::close() {
    if (open_) mprotect(memory_, next_address_, PROT_NONE);
    open_ = false;
}

void Device::with_memory(const std::function<void()>& body) {
    Call lock(*this);
    const OperationPointer operation = make(legacy_, "a call of the host");
    names_[std::size_t(legacy_->index)].push_back(operation->name);
    run_on_memory(*operation, body);
    host_.join(legacy_->clock);
}

// ---- what runs when ------------------------------------------------------------------------------------------------

bool Device::ready(const Operation& operation) const {
    if (operation.awaited) return operation.awaited->reached;
    if (operation.shared)
        return operation.shared->may_start() && used_blocks_ + operation.shared->blocks() <= settings_.multiprocessors;
    return !operation.kernel || used_blocks_ < settings_.multiprocessors;
}

// The operations that can run now: the first of each hardware queue, if it is also the first of its stream. All others
// in the queue wait behind it, even those of other streams. With few connections (CUDA_DEVICE_MAX_CONNECTIONS) streams
// share queues, and therefore wait for each other.
std::vector<OperationPointer> Device::candidates() const {
    std::vector<OperationPointer> found;
    for (const auto& queue : queues_) {
        if (queue.empty()) continue;
        const OperationPointer& first = queue.front();
        const auto stream = std::find_if(streams_.begin(), streams_.end(),
                                         [&](const auto& each) { return each->index == first->moment.stream(); });
        if ((*stream)->pending.front() == first && ready(*first)) found.push_back(first);
    }
    return found;
}

bool Device::poll_running() {
    for (const OperationPointer& operation : running_) {
        if (!operation->shared->moves()) continue;
        bool over = false;
        run_on_memory(*operation, [&] { over = operation->shared->poll(); });
        if (!over) continue;
        used_blocks_ -= operation->shared->blocks();
        complete(OperationPointer(operation));
        return true;
    }
    return false;
}

bool Device::step() {
    if (poll_running()) return true;
    std::vector<OperationPointer> found = candidates();
    if (found.empty()) return false;
    const auto older = [](const OperationPointer& a, const OperationPointer& b) { return a->number < b->number; };
    switch (settings_.scheduler) {
        case Scheduler::earliest: dispatch(*std::min_element(found.begin(), found.end(), older)); break;
        case Scheduler::latest: dispatch(*std::max_element(found.begin(), found.end(), older)); break;
        case Scheduler::random: dispatch(found[random_() % found.size()]); break;
    }
    return true;
}

void Device::dispatch(const OperationPointer& operation) {
    for (auto& queue : queues_)
        if (!queue.empty() && queue.front() == operation) {
            queue.pop_front();
            break;
        }
    operation->started = true;
    if (ordinal_ == settings_.slow_gpu) std::this_thread::sleep_for(slowness);
    last_progress_ = Clocks::now();
    if (operation->shared) {
        used_blocks_ += operation->shared->blocks();
        running_.push_back(operation);
        run_on_memory(*operation, [&] { operation->shared->start(); });
        return;
    }
    if (operation->run) run_on_memory(*operation, operation->run);
    if (operation->record) {
        operation->record->reached = true;
        operation->record->time = Clocks::now();
    }
    complete(operation);
}

void Device::complete(const OperationPointer& operation) {
    operation->over = true;
    --pending_;
    last_progress_ = Clocks::now();
    std::erase(running_, operation);
    if (host_awaits_ == operation.get()) host_awaits_ = nullptr;
    for (const auto& stream : streams_)
        if (!stream->pending.empty() && stream->pending.front() == operation) stream->pending.pop_front();
    changed_.notify_all();
}

void Device::drop(const std::function<bool(const SharedWork&)>& which) {
    const Lock lock(mutex_);
    for (const OperationPointer& operation : std::vector<OperationPointer>(running_))
        if (which(*operation->shared)) {
            used_blocks_ -= operation->shared->blocks();
            complete(operation);
        }
    for (const auto& stream : streams_)
        for (const OperationPointer& operation : stream->pending)
            if (!operation->started && operation->shared && which(*operation->shared)) operation->shared = nullptr;
}

// ---- work without a call of the host --------------------------------------------------------------------------------

void Device::work() {
    Lock lock(mutex_);
    while (!ending_) {
        if (pending_ == 0 && host_waits_for_ == 0) {
            close();
            changed_.wait(lock, [&] { return ending_ || pending_ > 0 || host_waits_for_ != 0; });
            continue;
        }
        const bool may = settings_.scheduler == Scheduler::earliest || Clocks::now() - last_call_ > standstill;
        if (may && step()) continue;
        look_for_deadlock();
        close();
        lock.unlock();
        std::this_thread::sleep_for(may ? between_looks : std::chrono::microseconds(standstill));
        lock.lock();
    }
}

void Device::look_for_deadlock() {
    const double quiet = std::chrono::duration<double>(Clocks::now() - last_progress_).count();
    if (quiet < 0.2 * settings_.hang_seconds) return;
    publish(job_rank(ordinal_), board_entry());
    if (quiet < settings_.hang_seconds || deadlock_reported_) return;
    const std::string ring = deadlock();
    if (ring.empty()) return;
    deadlock_reported_ = true;
    report("deadlock:" + ring);
}

namespace {

template <std::size_t N>
void write(char (&to)[N], const std::string& text) {
    std::snprintf(to, N, "%s", text.c_str());
}

}  // namespace

// The board entry of this GPU: the running operations, and the first operation of each stream and queue, each with the
// operation that it waits for.
BoardEntry Device::board_entry() {
    BoardEntry entry;
    std::vector<OperationPointer> shown = running_;
    for (const auto& queue : queues_)
        for (const OperationPointer& operation : queue)
            if (shown.size() < std::size_t(BoardEntry::most_operations) &&
                std::find(shown.begin(), shown.end(), operation) == shown.end() &&
                (operation == queue.front() || operation->shared))
                shown.push_back(operation);
    const auto index_of = [&](const Operation* operation) {
        for (std::size_t i = 0; i < shown.size(); ++i)
            if (shown[i].get() == operation) return int(i);
        return -1;
    };
    for (const OperationPointer& operation : shown) {
        BoardOperation& line = entry.operations[entry.count++];
        write(line.name, operation->name);
        if (operation->shared) line.key = operation->shared->key();
        line.running = operation->started ? 1 : 0;
        if (operation->started) {
            line.waits_for = operation->shared->waits_for();
            continue;
        }
        const auto behind = [&](const OperationPointer& other, const char* why) {
            if (line.behind >= 0 || other == operation) return;
            line.behind = index_of(other.get());
            write(line.why, why);
        };
        for (const auto& stream : streams_)
            if (stream->index == operation->moment.stream()) behind(stream->pending.front(), "later in its stream");
        for (const auto& queue : queues_)
            if (std::find(queue.begin(), queue.end(), operation) != queue.end())
                behind(queue.front(), "later in its hardware queue");
        if (operation->awaited)
            for (const auto& stream : streams_)
                for (const OperationPointer& other : stream->pending)
                    if (other->record == operation->awaited)
                        behind(stream->pending.front(), "at an event that follows");
        if (!running_.empty()) behind(running_.front(), "without a free multiprocessor");
    }
    write(entry.host_call, host_call_.empty() ? "no call of CUDA" : host_call_);
    entry.host_waits_for = host_waits_for_;
    if (host_awaits_ != nullptr) {
        entry.host_behind = index_of(host_awaits_);
        if (entry.host_behind < 0)
            for (const auto& stream : streams_)
                for (const OperationPointer& operation : stream->pending)
                    if (operation.get() == host_awaits_) entry.host_behind = index_of(stream->pending.front().get());
    }
    return entry;
}

std::string Device::describe(Moment moment) const {
    const auto& names = names_[std::size_t(moment.stream())];
    const std::string name = moment.number() >= 1 && moment.number() <= names.size() ? names[moment.number() - 1]
                                                                                     : std::string("an operation");
    return name + " (stream " + std::to_string(moment.stream()) + ")";
}

// ---- the GPUs of this process -------------------------------------------------------------------------------------

namespace {

struct Devices {
    std::mutex mutex;
    std::map<int, std::unique_ptr<Device>> all;
};

// Never destroyed, because their threads may run until the process has ended.
Devices& devices() {
    static auto* const all = new Devices;
    return *all;
}

thread_local int chosen = 0;

}  // namespace

Device& current_device() {
    if (executing_device != nullptr) return *executing_device;
    Devices& all = devices();
    const std::lock_guard lock(all.mutex);
    std::unique_ptr<Device>& device = all.all[chosen];
    if (!device) device = std::make_unique<Device>(chosen);
    return *device;
}

void choose_device(int ordinal) { chosen = ordinal; }
int chosen_device() { return chosen; }

void forget_devices() {
    Devices& all = devices();
    const std::lock_guard lock(all.mutex);
    all.all.clear();
}

void touch(const void* begin, std::size_t bytes, Access access) {
    if (executing_device != nullptr) executing_device->touch(begin, bytes, access);
}

}  // namespace gpas::virtual_gpu
