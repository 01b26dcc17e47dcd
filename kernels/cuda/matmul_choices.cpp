#include "kernels/cuda/matmul_choices.hpp"

#include <fstream>
#include <sstream>

namespace gpas::cuda {
namespace {

template <class Key, class F>
void for_each_number(Key& key, F&& f) {
    for (auto& size : key.sizes) f(size);
    for (auto& kind : key.kinds) f(kind);
    for (auto& alignment : key.alignments) f(alignment);
}

// Format 2 records alignments up to 64 bytes and ends with a line that holds the number of products.
std::string head_of(const std::string& machine) { return "gpas matrix products 2: " + machine; }

bool read_line(const std::string& line, MatmulChoices& choices) {
    std::istringstream words(line);
    MatmulKey key;
    MatmulChoice choice{};
    for_each_number(key, [&](auto& number) { words >> number; });
    for (std::uint64_t& word : choice) words >> word;
    std::string end;
    if (!(words >> end) || end != ".") return false;
    choices[key] = choice;
    return true;
}

}  // namespace

std::string text_of(const MatmulChoices& choices, const std::string& machine) {
    std::ostringstream text;
    text << head_of(machine) << '\n';
    for (const auto& [key, choice] : choices) {
        for_each_number(key, [&](const auto& number) { text << number << ' '; });
        for (const std::uint64_t word : choice) text << word << ' ';
        text << ".\n";
    }
    text << "end " << choices.size() << '\n';
    return text.str();
}

MatmulChoices read_matmul_choices(const std::string& file, const std::string& machine) {
    std::ifstream text(file);
    std::string line;
    if (!std::getline(text, line) || line != head_of(machine)) return {};
    MatmulChoices choices;
    while (std::getline(text, line)) {
        if (line == "end " + std::to_string(choices.size())) return choices;
        if (!read_line(line, choices)) return {};
    }
    return {};
}

}  // namespace gpas::cuda
