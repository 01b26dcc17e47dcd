#include "io/tokenizer/bpe_model.hpp"

#include "io/tokenizer/code_point.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace gpas {
namespace {

// Up to this number of symbols, a search through all pairs is faster than a heap.
constexpr std::size_t short_word = 64;

struct Later {  // orders the heap: lowest rank first, then the leftmost pair
    bool operator()(const BpeScratch::Candidate& a, const BpeScratch::Candidate& b) const {
        return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
    }
};

}  // namespace

BpeModel::BpeModel(Vocabulary vocabulary, MergeTable merges, const BpeOptions& options)
    : vocabulary_(std::move(vocabulary)), merges_(std::move(merges)), options_(options) {
    for (int byte = 0; byte < 256; ++byte) {
        const std::string token = options_.bytes ? std::string(1, char(byte)) : fmt::format("<0x{:02X}>", byte);
        byte_ids_[std::size_t(byte)] = find(token);
    }
    if (options_.bytes) return;
    for (const auto& [token, id] : vocabulary_) {
        if (token.empty() || character_bytes(token[0]) != token.size()) continue;
        const std::size_t code = code_point(token);
        if (code >= character_ids_.size()) character_ids_.resize(code + 1, -1);
        character_ids_[code] = id;
    }
}

std::int32_t BpeModel::find(std::string_view token) const {
    const auto found = vocabulary_.find(token);
    return found == vocabulary_.end() ? -1 : found->second;
}

void BpeModel::encode(std::string_view word, std::vector<std::int32_t>& ids, BpeScratch& scratch) const {
    if (word.empty()) return;
    if (options_.ignore_merges) {
        if (const std::int32_t id = find(word); id >= 0) {
            ids.push_back(id);
            return;
        }
    }
    scratch.symbols.clear();
    options_.bytes ? split_bytes(word, scratch.symbols) : split_characters(word, scratch.symbols);
    scratch.symbols.size() <= short_word ? merge_short(scratch) : merge_long(scratch);
    ids.insert(ids.end(), scratch.symbols.begin(), scratch.symbols.end());
}

void BpeModel::split_bytes(std::string_view word, std::vector<std::int32_t>& symbols) const {
    for (const char byte : word) symbols.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
}

bool BpeModel::fall_back_to_bytes(std::string_view character, std::vector<std::int32_t>& symbols) const {
    for (const char byte : character)
        if (byte_ids_[static_cast<unsigned char>(byte)] < 0) return false;
    split_bytes(character, symbols);
    return true;
}

// As in Hugging Face's tokenizers, a pending <unk> comes after the bytes of a character that follows it.
void BpeModel::split_characters(std::string_view word, std::vector<std::int32_t>& symbols) const {
    bool unknown = false;  // an <unk> is pending
    for (std::size_t at = 0; at < word.size();) {
        const std::string_view character = word.substr(at, character_bytes(word[at]));
        at += character.size();
        const std::size_t code = code_point(character);
        const std::int32_t id = code < character_ids_.size() ? character_ids_[code] : -1;
        if (id >= 0) {
            if (std::exchange(unknown, false)) symbols.push_back(options_.unk_id);
            symbols.push_back(id);
        } else if (!(options_.byte_fallback && fall_back_to_bytes(character, symbols)) && options_.unk_id >= 0) {
            if (unknown && !options_.fuse_unk) symbols.push_back(options_.unk_id);
            unknown = true;
        }
    }
    if (unknown) symbols.push_back(options_.unk_id);
}

void BpeModel::merge_short(BpeScratch& scratch) const {
    auto& symbols = scratch.symbols;
    auto& merges = scratch.merges;
    merges.clear();
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) merges.push_back(merges_.find(symbols[i], symbols[i + 1]));
    while (!merges.empty()) {
        std::size_t best = 0;
        for (std::size_t i = 1; i < merges.size(); ++i)  // -1, no merge, is the largest unsigned number
            if (std::uint32_t(merges[i].rank) < std::uint32_t(merges[best].rank)) best = i;
        if (merges[best].rank < 0) return;
        symbols[best] = merges[best].id;
        symbols.erase(symbols.begin() + std::ptrdiff_t(best) + 1);
        merges.erase(merges.begin() + std::ptrdiff_t(best));
        if (best > 0) merges[best - 1] = merges_.find(symbols[best - 1], symbols[best]);
        if (best < merges.size()) merges[best] = merges_.find(symbols[best], symbols[best + 1]);
    }
}

// A heap of pairs over a linked list of symbols: n log n steps for n symbols.
void BpeModel::merge_long(BpeScratch& scratch) const {
    auto& [symbols, next, previous, merges, heap] = scratch;
    const std::int32_t count = std::int32_t(symbols.size());
    const auto at = [](std::int32_t position) { return std::size_t(position); };
    const auto push = [&, &all = heap, &ids = symbols](std::int32_t left, std::int32_t right) {
        const Merge merge = merges_.find(ids[at(left)], ids[at(right)]);
        if (merge.rank < 0) return;
        all.push_back({merge.rank, left, merge.id});
        std::push_heap(all.begin(), all.end(), Later());
    };
    next.clear();
    previous.clear();
    heap.clear();
    for (std::int32_t i = 0; i < count; ++i) {
        next.push_back(i + 1 < count ? i + 1 : -1);
        previous.push_back(i - 1);
    }
    for (std::int32_t i = 0; i + 1 < count; ++i) push(i, i + 1);
    while (!heap.empty()) {
        std::pop_heap(heap.begin(), heap.end(), Later());
        const BpeScratch::Candidate best = heap.back();
        heap.pop_back();
        const std::int32_t left = best.position, right = next[at(left)];
        if (symbols[at(left)] < 0 || right < 0) continue;
        if (merges_.find(symbols[at(left)], symbols[at(right)]).id != best.id) continue;  // the pair has changed
        symbols[at(left)] = best.id;
        symbols[at(right)] = -1;
        next[at(left)] = next[at(right)];
        if (next[at(left)] >= 0) previous[at(next[at(left)])] = left;
        if (previous[at(left)] >= 0) push(previous[at(left)], left);
        if (next[at(left)] >= 0) push(left, next[at(left)]);
    }
    symbols.erase(std::remove(symbols.begin(), symbols.end(), -1), symbols.end());
}

}  // namespace gpas
