#include "tests/hostcuda/run.hpp"

#include "tests/hostcuda/device_memory.hpp"
#include "tests/hostcuda/fibre.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <utility>

namespace gpas::hostcuda {
namespace {

constexpr int lanes = 32;
constexpr int poison = 0xff;  // a NaN in fp32 and bf16, -1 as an integer

struct AsyncCopy {
    void* shared;
    const void* global;
    bool read;
};

enum class Wait { none, block, warp, done };

struct Fibre {
    void* stack = nullptr;
    Dim3 thread;
    Wait wait = Wait::none;
    Place place{"", 0};
    // at a meeting of lanes:
    unsigned mask = 0;
    const void* mine = nullptr;
    void* all = nullptr;
    std::size_t bytes = 0;
    std::vector<std::vector<AsyncCopy>> groups;  // committed, oldest first
    std::vector<AsyncCopy> open_group;
};

struct Settings {
    Order order = Order::forward;
    unsigned seed = 1;
    Fault fault;
    std::vector<Fault> possible;

    void met(FaultKind kind, Place place) {
        for (const Fault& fault_met : possible)
            if (fault_met.kind == kind && fault_met.place == place) return;
        possible.push_back({kind, place});
    }
    bool planted(FaultKind kind, Place place) {
        met(kind, place);
        return fault.kind == kind && fault.place == place;
    }
};

Order order_from_environment() {
    const char* value = std::getenv("GPAS_HOSTCUDA_ORDER");
    if (value == nullptr || std::strcmp(value, "forward") == 0) return Order::forward;
    return std::strcmp(value, "reverse") == 0 ? Order::reverse : Order::random;
}

thread_local Settings settings{order_from_environment(), 1, {}, {}};

struct SharedArray {
    const void* place;
    std::vector<std::max_align_t> memory;
};

std::vector<std::max_align_t> poisoned(std::size_t bytes) {
    std::vector<std::max_align_t> memory((bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t));
    std::memset(memory.data(), poison, memory.size() * sizeof(std::max_align_t));
    return memory;
}

class Block;
thread_local Block* running = nullptr;
thread_local std::unique_ptr<Stacks> stacks;

class Block {
public:
    Block(Dim3 grid, int threads, std::int64_t shared_bytes, const std::function<void()>& kernel)
        : grid_(grid),
          size_(unsigned(threads)),
          kernel_(kernel),
          fibres_(std::size_t(threads)),
          random_(settings.seed) {
        if (!stacks || stacks->count() < fibres_.size())
            stacks = std::make_unique<Stacks>(std::max<std::size_t>(fibres_.size(), 256));
        dynamic_.resize(std::size_t(shared_bytes) + 128);
        for (std::size_t i = 0; i < fibres_.size(); ++i) fibres_[i].thread = Dim3(unsigned(i), 0, 0);
    }

    void run(Dim3 index) {
        index_ = index;
        shared_.clear();
        std::memset(dynamic_.data(), poison, dynamic_.size());
        for (std::size_t i = 0; i < fibres_.size(); ++i) {
            fibres_[i].wait = Wait::none;
            fibres_[i].groups.clear();
            fibres_[i].open_group.clear();
            fibres_[i].stack = stacks->prepare(i, &Block::enter);
        }
        while (!all_done()) {
            for (const int warp : order_of(int((fibres_.size() + lanes - 1) / lanes))) run_warp(warp);
            release_block_barrier();
        }
    }

    // ---- called from fibres ----

    Fibre& fibre() { return *current_; }
    int lane() const { return int(current_->thread.x) % lanes; }
    const Dim3& grid() const { return grid_; }
    const Dim3& size() const { return size_; }
    const Dim3& index() const { return index_; }

    unsigned char* dynamic() {
        const auto address = reinterpret_cast<std::uintptr_t>(dynamic_.data());
        return reinterpret_cast<unsigned char*>((address + 127) / 128 * 128);
    }

    void* shared(const void* place, std::size_t bytes) {
        for (SharedArray& array : shared_)
            if (array.place == place) return array.memory.data();
        shared_.push_back({place, poisoned(bytes)});
        return shared_.back().memory.data();
    }

    void wait_for(Wait what, Place place) {
        current_->wait = what;
        current_->place = place;
        gpas_hostcuda_switch(&current_->stack, scheduler_);
    }

    // The last lane to arrive gives every lane the values of all lanes, and continues.
    void meet(Place place, unsigned mask, const void* mine, void* all, std::size_t bytes) {
        Fibre& me = *current_;
        me.mask = mask;
        me.mine = mine;
        me.all = all;
        me.bytes = bytes;
        me.place = place;
        me.wait = Wait::warp;
        Fibre* warp = fibres_.data() + std::size_t(current_ - fibres_.data()) / lanes * lanes;
        if (complete(warp, me)) {
            hand_out(warp, mask, bytes);
            return;
        }
        gpas_hostcuda_switch(&me.stack, scheduler_);
    }

    // No exception crosses the switch of stacks: the scheduler throws.
    void broken(const std::string& what) {
        std::string text = "block (" + std::to_string(index_.x) + "," + std::to_string(index_.y) + "," +
                           std::to_string(index_.z) + "): " + what;
        int named = 0;
        for (const Fibre& fibre : fibres_)
            if (fibre.wait != Wait::done && named++ < 8)
                text += "\n  thread " + std::to_string(fibre.thread.x) + " at " + fibre.place.file + ":" +
                        std::to_string(fibre.place.line);
        broken_ = text;
    }

private:
    static void enter() {
        running->kernel_();
        running->current_->wait = Wait::done;
        void* nowhere;
        gpas_hostcuda_switch(&nowhere, running->scheduler_);
        std::abort();
    }

    bool all_done() const {
        return std::all_of(fibres_.begin(), fibres_.end(), [](const Fibre& f) { return f.wait == Wait::done; });
    }

    std::vector<int> order_of(int count) {
        std::vector<int> order(static_cast<std::size_t>(count));
        std::iota(order.begin(), order.end(), 0);
        if (settings.order == Order::reverse) std::reverse(order.begin(), order.end());
        if (settings.order == Order::random) std::shuffle(order.begin(), order.end(), random_);
        return order;
    }

    // Runs until every lane is at a block barrier, waits for lanes that do not arrive, or has finished.
    void run_warp(int warp) {
        const int first = warp * lanes;
        const int count = std::min(lanes, int(fibres_.size()) - first);
        for (bool progress = true; progress;) {
            progress = false;
            for (const int lane : order_of(count)) {
                Fibre& fibre = fibres_[std::size_t(first + lane)];
                if (fibre.wait != Wait::none) continue;
                progress = true;
                current_ = &fibre;
                gpas_hostcuda_switch(&scheduler_, fibre.stack);
                if (!broken_.empty()) throw BrokenExecution{broken_};
            }
        }
    }

    bool complete(const Fibre* warp, const Fibre& me) {
        for (int l = 0; l < lanes; ++l) {
            if ((me.mask >> l & 1U) == 0) continue;
            if (warp + l >= fibres_.data() + fibres_.size()) {
                broken("a warp operation names a lane that does not exist");
                return false;
            }
            const Fibre& other = warp[l];
            if (other.wait != Wait::warp) return false;
            if (other.mask != me.mask || !(other.place == me.place) || other.bytes != me.bytes) {
                broken("lanes of a warp meet in different operations");
                return false;
            }
        }
        return true;
    }

    void hand_out(Fibre* warp, unsigned mask, std::size_t bytes) {
        if (bytes > 0) {
            values_.assign(lanes * bytes, poison);
            for (int from = 0; from < lanes; ++from)
                if (mask >> from & 1U) std::memcpy(values_.data() + std::size_t(from) * bytes, warp[from].mine, bytes);
            for (int to = 0; to < lanes; ++to)
                if (mask >> to & 1U) std::memcpy(warp[to].all, values_.data(), values_.size());
        }
        for (int l = 0; l < lanes; ++l)
            if (mask >> l & 1U) warp[l].wait = Wait::none;
    }

    // Threads that have ended are not waited for (as on sm_70 and later).
    void release_block_barrier() {
        const Fibre* first = nullptr;
        for (const Fibre& fibre : fibres_) {
            if (fibre.wait == Wait::warp) broken("a warp operation waits for lanes that never come");
            if (fibre.wait != Wait::block) continue;
            if (first != nullptr && !(fibre.place == first->place)) broken("threads wait at different barriers");
            first = &fibre;
        }
        for (Fibre& fibre : fibres_)
            if (fibre.wait == Wait::block) fibre.wait = Wait::none;
        if (!broken_.empty()) throw BrokenExecution{broken_};
    }

    Dim3 grid_, size_, index_;
    const std::function<void()>& kernel_;
    std::vector<Fibre> fibres_;
    std::vector<SharedArray> shared_;
    std::vector<unsigned char> dynamic_;
    std::vector<unsigned char> values_;  // of the lanes that meet
    Fibre* current_ = nullptr;
    void* scheduler_ = nullptr;
    std::mt19937 random_;
    std::string broken_;
};

void copy_now(const AsyncCopy& copy) {
    if (copy.read) {
        touch_device(copy.global, 16, false);
        std::memcpy(copy.shared, copy.global, 16);
    } else if (!zeroing_is_dropped()) {
        std::memset(copy.shared, 0, 16);
    }
}

}  // namespace

void set_order(Order order, unsigned seed) {
    settings.order = order;
    settings.seed = seed;
}

void set_fault(const Fault& fault) { settings.fault = fault; }

std::vector<Fault> possible_faults() { return std::exchange(settings.possible, {}); }

bool zeroing_is_dropped() { return settings.planted(FaultKind::no_zeroing, {"", 0}); }

void run(Dim3 grid, int threads, std::int64_t shared_bytes, const std::function<void()>& kernel) {
    const DeviceAccess access;
    Block block(grid, threads, shared_bytes, kernel);
    Block* const outer = std::exchange(running, &block);
    struct Restore {
        Block* outer;
        ~Restore() { running = outer; }
    } restore{outer};
    std::vector<Dim3> blocks;
    for (unsigned z = 0; z < grid.z; ++z)
        for (unsigned y = 0; y < grid.y; ++y)
            for (unsigned x = 0; x < grid.x; ++x) blocks.emplace_back(x, y, z);
    if (blocks.size() > 1 && settings.planted(FaultKind::last_block, {"", 0})) blocks.pop_back();
    if (settings.order == Order::reverse) std::reverse(blocks.begin(), blocks.end());
    if (settings.order == Order::random) {
        std::mt19937 random(settings.seed);
        std::shuffle(blocks.begin(), blocks.end(), random);
    }
    for (const Dim3& index : blocks) block.run(index);
}

const Dim3& thread_index() { return running->fibre().thread; }
const Dim3& block_index() { return running->index(); }
const Dim3& block_size() { return running->size(); }
const Dim3& grid_size() { return running->grid(); }
int lane() { return running->lane(); }

void* shared_array(const void* place, std::size_t bytes) { return running->shared(place, bytes); }
unsigned char* dynamic_shared() { return running->dynamic(); }

void require_aligned(const void* pointer, std::size_t bytes, const char* what) {
    if (reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0) return;
    std::fprintf(stderr, "hostcuda: %s of an address that is not a multiple of %zu\n", what, bytes);
    std::abort();
}

void block_barrier(Place place) {
    if (!settings.planted(FaultKind::drop_barrier, place)) running->wait_for(Wait::block, place);
}

void warp_barrier(Place place, unsigned mask) {
    if (!settings.planted(FaultKind::drop_barrier, place)) running->meet(place, mask, nullptr, nullptr, 0);
}

void exchange(Place place, unsigned mask, const void* mine, void* all, std::size_t bytes) {
    running->meet(place, mask, mine, all, bytes);
}

int shuffle_source(Place place, int from) { return settings.planted(FaultKind::wrong_lane, place) ? from ^ 4 : from; }

void cp_async_16(void* shared, const void* global, bool read) {
    require_aligned(shared, 16, "cp.async to shared memory");
    if (read) require_aligned(global, 16, "cp.async from global memory");
    running->fibre().open_group.push_back({shared, global, read});
}

void cp_async_commit() {
    Fibre& fibre = running->fibre();
    fibre.groups.push_back(std::exchange(fibre.open_group, {}));
}

void cp_async_wait(int groups_under_way) {
    if (settings.planted(FaultKind::late_copy, {"", groups_under_way})) return;
    auto& groups = running->fibre().groups;
    while (int(groups.size()) > groups_under_way) {
        for (const AsyncCopy& copy : groups.front()) copy_now(copy);
        groups.erase(groups.begin());
    }
}

}  // namespace gpas::hostcuda
