#include "engine/run/shared_choices.hpp"

#include "base/hash.hpp"
#include "parallel/agree.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

namespace gpas {
namespace {

using cuda::MatmulChoice;
using cuda::MatmulKey;

// A product on one kind of machine (hash of its name), as int64 words that can be sent.
struct Entry {
    std::int64_t machine = 0;
    MatmulKey key;
    auto operator<=>(const Entry&) const = default;
};
using EntryWords = std::array<std::int64_t, sizeof(Entry) / sizeof(std::int64_t)>;
constexpr std::int64_t words_per_entry = std::int64_t(EntryWords().size());

// All entries of all ranks, each with the lowest rank that has it. Collective.
std::map<Entry, int> entries_of_all(Communicator& world, std::int64_t machine, const std::vector<MatmulKey>& mine) {
    auto most = std::int64_t(mine.size());
    world.all_reduce(&most, 1, ReduceOp::max, "numbers of matrix products");
    const std::int64_t stride = 1 + most * words_per_entry;  // per rank: the number of entries, then the entries
    std::vector<std::int64_t> all(std::size_t(world.size() * stride), 0);
    std::int64_t* place = all.data() + world.rank() * stride;
    *place++ = std::int64_t(mine.size());
    for (const MatmulKey& key : mine) {
        const auto words = std::bit_cast<EntryWords>(Entry{machine, key});
        place = std::copy(words.begin(), words.end(), place);
    }
    world.all_reduce(all.data(), std::int64_t(all.size()), ReduceOp::sum, "matrix products");
    std::map<Entry, int> owners;
    for (int rank = 0; rank < world.size(); ++rank) {
        const std::int64_t* from = all.data() + rank * stride;
        for (std::int64_t i = 0; i < *from; ++i) {
            EntryWords words;
            std::copy_n(from + 1 + i * words_per_entry, words_per_entry, words.begin());
            owners.try_emplace(std::bit_cast<Entry>(words), rank);
        }
    }
    return owners;
}

// The choice for each entry, in the same order on every rank. One rank fills in a choice and all others leave zeros, so
// that the integer sum over the ranks is that rank's choice.
class Table {
public:
    explicit Table(const std::map<Entry, int>& owners)
        : entries_(owners.begin(), owners.end()),
          known_(owners.size(), 0),
          words_(owners.size() * MatmulChoice().size(), 0) {}

    void fill(std::size_t i, const MatmulChoice& choice) {
        known_[i] = 1;
        std::memcpy(&words_[i * choice.size()], choice.data(), sizeof choice);
    }
    void fill_kept(std::int64_t machine, const cuda::MatmulChoices& kept) {
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            const auto found = kept.find(entries_[i].first.key);
            if (entries_[i].first.machine == machine && found != kept.end()) fill(i, found->second);
        }
    }
    void share_known(Communicator& world) {
        world.all_reduce(known_.data(), size(), ReduceOp::sum, "kept choices of matrix products");
    }
    void share_choices(Communicator& world) {
        world.all_reduce(words_.data(), std::int64_t(words_.size()), ReduceOp::sum, "choices for matrix products");
    }
    std::vector<std::size_t> unknown_of(int rank) const {
        std::vector<std::size_t> places;
        for (std::size_t i = 0; i < entries_.size(); ++i)
            if (known_[i] == 0 && entries_[i].second == rank) places.push_back(i);
        return places;
    }

    std::int64_t size() const { return std::int64_t(entries_.size()); }
    std::int64_t known() const { return std::count(known_.begin(), known_.end(), 1); }
    const MatmulKey& key(std::size_t i) const { return entries_[i].first.key; }
    cuda::MatmulChoices choices_of(std::int64_t machine) const {
        cuda::MatmulChoices choices;
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            MatmulChoice choice;
            std::memcpy(choice.data(), &words_[i * choice.size()], sizeof choice);
            if (entries_[i].first.machine == machine) choices[key(i)] = choice;
        }
        return choices;
    }

private:
    std::vector<std::pair<Entry, int>> entries_;  // with the rank that times the entry
    std::vector<std::int64_t> known_;             // 1: rank 0 has a choice from an earlier start
    std::vector<std::int64_t> words_;
};

}  // namespace

SharedChoices share_choices(Communicator& world, const std::vector<MatmulKey>& mine, const std::string& machine,
                            const cuda::MatmulChoices& kept,
                            const std::function<std::vector<MatmulChoice>(std::span<const MatmulKey>)>& time) {
    const auto own = std::bit_cast<std::int64_t>(hash_of(machine));
    Table table(entries_of_all(world, own, mine));
    if (world.rank() == 0) table.fill_kept(own, kept);
    table.share_known(world);
    const std::int64_t known = table.known();

    const std::vector<std::size_t> places = table.unknown_of(world.rank());
    std::vector<MatmulKey> to_time;
    for (const std::size_t place : places) to_time.push_back(table.key(place));
    const std::vector<MatmulChoice> timed = agree(world, [&] { return time(to_time); }, "the times of matrix products");
    for (std::size_t i = 0; i < timed.size(); ++i) table.fill(places[i], timed[i]);
    table.share_choices(world);
    return {.choices = table.choices_of(own), .timed = table.size() - known, .products = table.size()};
}

}  // namespace gpas
