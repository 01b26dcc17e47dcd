#include "tests/virtual_gpu/mistakes.hpp"

#include "tests/virtual_gpu/device.hpp"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

namespace gpas::virtual_gpu {
namespace {

struct Planted {
    std::mutex mutex;
    Mistake mistake = Mistake::none;
    int rank = 0, index = 0;
    bool made = false;
    std::map<std::pair<Mistake, int>, int> counts;
};

// Parses GPAS_VIRTUAL_GPU_MISTAKE=left_out:RANK:INDEX, for tests that run whole programs.
Planted* from_environment() {
    auto* const planted = new Planted;
    const char* text = std::getenv("GPAS_VIRTUAL_GPU_MISTAKE");
    if (text != nullptr && std::sscanf(text, "left_out:%d:%d", &planted->rank, &planted->index) == 2)
        planted->mistake = Mistake::left_out;
    return planted;
}

Planted& planted_mistakes() {
    static Planted* const all = from_environment();
    return *all;
}

}  // namespace

void plant(Mistake mistake, int rank, int index) {
    Planted& all = planted_mistakes();
    const std::lock_guard lock(all.mutex);
    all.mistake = mistake;
    all.rank = rank;
    all.index = index;
    all.made = false;
    all.counts.clear();
}

bool planted(Mistake mistake) {
    Planted& all = planted_mistakes();
    const std::lock_guard lock(all.mutex);
    const int rank = chosen_device();
    const int count = all.counts[{mistake, rank}]++;
    const bool now = all.mistake == mistake && all.rank == rank && all.index == count;
    all.made = all.made || now;
    return now;
}

bool was_planted() {
    Planted& all = planted_mistakes();
    const std::lock_guard lock(all.mutex);
    return all.made;
}

int places(Mistake mistake, int rank) {
    Planted& all = planted_mistakes();
    const std::lock_guard lock(all.mutex);
    return all.counts[{mistake, rank}];
}

}  // namespace gpas::virtual_gpu
