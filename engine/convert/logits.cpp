#include "engine/convert/logits.hpp"

#include "base/error.hpp"
#include "engine/step/replica.hpp"
#include "io/data/indexed_dataset.hpp"
#include "kernels/philox.hpp"

#include <algorithm>
#include <cmath>

namespace gpas {
namespace {

constexpr std::int64_t positions = 8;

}  // namespace

ProbeTokens probe_tokens(const std::string& prefix, std::int64_t count, std::int64_t vocab_size) {
    ProbeTokens probe;
    if (!prefix.empty()) {
        const IndexedDataset dataset(prefix);
        probe.ids.resize(std::size_t(std::min(count, dataset.tokens())));
        dataset.read(0, std::int64_t(probe.ids.size()), probe.ids.data());
        probe.source = fmt::format("the first tokens of {}", prefix);
        const bool fit = std::ranges::all_of(probe.ids, [&](std::int32_t id) { return id >= 0 && id < vocab_size; });
        if (fit && std::int64_t(probe.ids.size()) >= positions) return probe;
        probe.ids.clear();
    }
    for (std::int64_t i = 0; i < count; ++i)
        probe.ids.push_back(std::int32_t(philox({std::uint32_t(i), 0, 0, 0}, 1, 2)[0] % std::uint32_t(vocab_size)));
    probe.source = "pseudo-random tokens";
    return probe;
}

std::vector<float> logits_of(const ModelConfig& model, const Weights& weights, const ProbeTokens& tokens, int threads) {
    const std::int64_t length = std::int64_t(tokens.ids.size());
    Replica replica(model, {}, {.batch = 1, .sequence = length, .training = false}, threads);
    for (std::size_t i = 0; i < replica.store.specs().size(); ++i) {
        const std::vector<float> values = weights(replica.store.specs()[i].name);
        const Tensor master = replica.store.master(i);
        require(master.elements() == std::int64_t(values.size()), "{}: {} values", replica.store.specs()[i].name,
                values.size());
        std::ranges::copy(values, master.as<float>());
    }
    std::vector<float> logits(std::size_t(positions * model.vocab_size));
    std::vector<std::int32_t> ids = tokens.ids;
    for (std::int64_t p = 0; p < positions; ++p)
        replica.logits_at(Tensor(logits.data() + p * model.vocab_size, Dtype::fp32, {1, model.vocab_size}),
                          Tensor(ids.data(), Dtype::int32, {length}), length * (p + 1) / positions - 1);
    return logits;
}

LogitsDifference compare_logits(const std::vector<float>& a, const std::vector<float>& b, std::int64_t vocab_size) {
    LogitsDifference difference{.positions = std::int64_t(a.size()) / vocab_size};
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double between = std::abs(double(a[i]) - double(b[i]));
        difference.largest = between <= difference.largest ? difference.largest : between;  // NaN stays
        difference.of = std::max(difference.of, std::abs(double(a[i])));
    }
    for (std::int64_t p = 0; p < difference.positions; ++p) {
        const auto top = [&](const std::vector<float>& logits) {
            const auto begin = logits.begin() + p * vocab_size;
            return std::max_element(begin, begin + vocab_size) - begin;
        };
        difference.same_top += top(a) == top(b) ? 1 : 0;
    }
    return difference;
}

}  // namespace gpas
