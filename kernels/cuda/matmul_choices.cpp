#include "kernels/cuda/matmul_choices.hpp"

#include <fstream>
#include <sstream>
#include <utility>

namespace gpas::cuda {
namespace {

template <class Key, class F>
void for_each_number(Key& key, F&& f) {
    for (auto& size : key.sizes) f(size);
    for (auto& kind : key.kinds) f(kind);
    for (auto& alignment : key.alignments) f(alignment);
}

}  // namespace

MatmulChoices::MatmulChoices(std::string file, std::string machine)
    : file_(std::move(file)), machine_(std::move(machine)) {
    begun_ = load();
    if (!begun_) choices_.clear();
}

std::string MatmulChoices::head() const { return "gpas matrix products 1: " + machine_; }

// Whether the file is one of ours, every line whole: a run may have been killed while it wrote the last one.
bool MatmulChoices::load() {
    if (file_.empty()) return false;
    std::ifstream file(file_);
    std::string line;
    if (!std::getline(file, line) || line != head()) return false;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        MatmulKey key;
        MatmulChoice choice{};
        for_each_number(key, [&](auto& number) { words >> number; });
        for (std::uint64_t& word : choice) words >> word;
        std::string end;
        if (!(words >> end) || end != ".") return false;
        choices_[key] = choice;
    }
    return true;
}

std::optional<MatmulChoice> MatmulChoices::find(const MatmulKey& key) const {
    const auto found = choices_.find(key);
    if (found == choices_.end()) return std::nullopt;
    return found->second;
}

void MatmulChoices::add(const MatmulKey& key, const MatmulChoice& choice) {
    choices_[key] = choice;
    if (file_.empty()) return;
    std::ofstream file(file_, begun_ ? std::ios::app : std::ios::trunc);
    if (!begun_) file << head() << '\n';
    begun_ = true;
    for_each_number(key, [&](const auto& number) { file << number << ' '; });
    for (const std::uint64_t word : choice) file << word << ' ';
    file << ".\n";
}

}  // namespace gpas::cuda
