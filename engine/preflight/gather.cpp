#include "engine/preflight/gather.hpp"

#include <algorithm>
#include <cstring>
#include <sstream>

namespace gpas::preflight {

std::vector<std::string> gather(Communicator& world, const std::string& text, const char* what) {
    const std::size_t ranks = std::size_t(world.size());
    std::vector<std::int64_t> bytes(ranks, 0);
    bytes[std::size_t(world.rank())] = std::int64_t(text.size());
    world.all_reduce(bytes.data(), std::int64_t(ranks), ReduceOp::sum, what);
    const std::int64_t words = *std::max_element(bytes.begin(), bytes.end()) / std::int64_t(sizeof(std::int32_t)) + 1;
    std::vector<std::int32_t> mine(std::size_t(words), 0);
    std::vector<std::int32_t> all(ranks * std::size_t(words), 0);
    std::memcpy(mine.data(), text.data(), text.size());
    world.all_gather(Tensor(all.data(), Dtype::int32, {std::int64_t(ranks) * words}),
                     Tensor(mine.data(), Dtype::int32, {words}), what);
    std::vector<std::string> texts;
    for (std::size_t rank = 0; rank < ranks; ++rank)
        texts.emplace_back(reinterpret_cast<const char*>(all.data() + rank * std::size_t(words)),
                           std::size_t(bytes[rank]));
    return texts;
}

std::vector<double> gather(Communicator& world, double number, const char* what) {
    std::vector<double> numbers(std::size_t(world.size()), 0.0);
    numbers[std::size_t(world.rank())] = number;
    world.all_reduce(numbers.data(), std::int64_t(numbers.size()), ReduceOp::sum, what);
    return numbers;
}

std::vector<std::vector<std::string>> gather(Communicator& world, const std::vector<std::string>& texts,
                                             const char* what) {
    std::string lines;
    for (std::string text : texts) {
        std::replace(text.begin(), text.end(), '\n', ' ');
        lines += text + "\n";
    }
    std::vector<std::vector<std::string>> all(texts.size());
    for (const std::string& rank : gather(world, lines, what)) {
        std::istringstream in(rank);
        std::string line;
        for (std::vector<std::string>& text : all) {
            std::getline(in, line);
            text.push_back(line);
        }
    }
    return all;
}

}  // namespace gpas::preflight
