#include "engine/run/generate.hpp"

#include "base/error.hpp"
#include "kernels/philox.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gpas {
namespace {

double uniform(std::uint64_t seed, std::uint64_t position) {
    const Philox4 words = philox({std::uint32_t(position), std::uint32_t(position >> 32), 0, 0}, std::uint32_t(seed),
                                 std::uint32_t(seed >> 32));
    return double(words[0]) / 4294967296.0;
}

// Number of tokens to sample from (top_k, top_p), given the probabilities in descending order.
std::size_t kept(const std::vector<double>& sorted, const SamplingOptions& options) {
    std::size_t count = options.top_k > 0 ? std::min(sorted.size(), std::size_t(options.top_k)) : sorted.size();
    double sum = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
        sum += sorted[i];
        if (sum >= options.top_p) return i + 1;
    }
    return count;
}

}  // namespace

std::int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, double u) {
    std::vector<std::int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int32_t a, std::int32_t b) { return logits[std::size_t(a)] > logits[std::size_t(b)]; });
    if (options.temperature == 0.0) return order.front();

    std::vector<double> probability(order.size());
    const double most = double(logits[std::size_t(order.front())]);
    double sum = 0.0;
    for (std::size_t i = 0; i < order.size(); ++i) {
        probability[i] = std::exp((double(logits[std::size_t(order[i])]) - most) / options.temperature);
        sum += probability[i];
    }
    for (double& p : probability) p /= sum;
    const std::size_t count = kept(probability, options);
    double left = u * std::accumulate(probability.begin(), probability.begin() + std::ptrdiff_t(count), 0.0);
    for (std::size_t i = 0; i < count; ++i) {
        left -= probability[i];
        if (left < 0.0) return order[i];
    }
    return order[count - 1];
}

namespace {

// Writes the logits [1,V] that follow `all`, of which the model sees the last `window` tokens. Keeps keys and values
// from call to call: between calls, tokens may only be appended to `all`.
class NextLogits {
public:
    explicit NextLogits(Replica& replica)
        : replica_(replica), seen_(std::size_t(replica.shape().compute.sequence), 0) {}

    void write(Tensor logits, std::vector<std::int32_t>& all) {
        const std::int64_t count = std::int64_t(all.size());
        const std::int64_t window = std::int64_t(seen_.size());
        if (count <= window) {
            replica_.next_logits(logits, Tensor(all.data() + known_, Dtype::int32, {count - known_}), known_);
            known_ = count;
            return;
        }
        std::copy(all.end() - window, all.end(), seen_.begin());
        replica_.logits_at(logits, Tensor(seen_.data(), Dtype::int32, {window}), window - 1);
    }

private:
    Replica& replica_;
    std::vector<std::int32_t> seen_;
    std::int64_t known_ = 0;  // tokens whose keys and values the replica has
};

}  // namespace

std::vector<std::int32_t> generate(Replica& replica, std::span<const std::int32_t> prompt, std::int64_t count,
                                   std::int32_t end, const SamplingOptions& options,
                                   const std::function<void(std::int32_t)>& on_token) {
    const ModelShape& shape = replica.shape().compute;
    require(!prompt.empty() && shape.batch == 1, "generate: {} tokens of prompt, {} samples", prompt.size(),
            shape.batch);
    const std::int64_t vocabulary = replica.shape().model.vocab_size;
    std::vector<std::int32_t> all(prompt.begin(), prompt.end());
    NextLogits next(replica);
    const std::int64_t choices = options.vocab_size > 0 ? std::min(options.vocab_size, vocabulary) : vocabulary;
    std::vector<float> logits(static_cast<std::size_t>(vocabulary));
    for (std::int64_t i = 0; i < count; ++i) {
        next.write(Tensor(logits.data(), Dtype::fp32, {1, vocabulary}), all);
        const std::int32_t token = sample_token(std::span(logits).first(std::size_t(choices)), options,
                                                uniform(options.seed, std::uint64_t(i)));
        if (token == end) break;
        all.push_back(token);
        if (on_token) on_token(token);
    }
    return {all.begin() + std::ptrdiff_t(prompt.size()), all.end()};
}

}  // namespace gpas
