#include "engine/run/evaluate_tasks.hpp"

#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "engine/run/choice_scores.hpp"

#include <filesystem>
#include <map>

namespace gpas {
namespace {

// Requests in samples of `window` positions: each sample takes the next requests as long as they fit.
class PackedRequests {
public:
    PackedRequests(std::span<const ChoiceRequest> requests, std::int64_t window)
        : requests_(requests), window_(window) {
        std::int64_t used = window;
        for (std::size_t i = 0; i < requests.size(); ++i) {
            const std::int64_t length = std::int64_t(requests[i].tokens.size()) - 1;  // the last token is only a label
            require(length <= window, "a request of {} positions in a window of {}", length, window);
            if (used + length > window) {
                samples_.emplace_back();
                used = 0;
            }
            samples_.back().push_back({i, used});
            used += length;
        }
    }

    std::int64_t samples() const { return std::int64_t(samples_.size()); }

    void fill(Batch& batch, std::int64_t first, std::int64_t count) const {
        batch = {.samples = count, .sequence_length = window_};
        const auto elements = std::size_t(count * window_);
        batch.tokens.assign(elements, 0);
        batch.labels.assign(elements, -1);
        batch.segment_begin.assign(elements, 0);
        for (std::int64_t b = 0; b < count; ++b) fill_sample(batch, b, samples_[std::size_t(first + b)]);
    }

    // log_likelihoods[request] += those of the samples, whose losses are at [t * stride + sample].
    void add(std::vector<double>& log_likelihoods, std::int64_t first, std::int64_t count,
             const std::vector<double>& losses) const {
        const std::int64_t stride = std::int64_t(losses.size()) / window_;
        for (std::int64_t b = 0; b < count; ++b) {
            for (const Placed& placed : samples_[std::size_t(first + b)]) {
                const ChoiceRequest& request = requests_[placed.request];
                const std::int64_t end = placed.begin + std::int64_t(request.tokens.size()) - 1;
                for (std::int64_t t = placed.begin + request.scored - 1; t < end; ++t)
                    log_likelihoods[placed.request] -= losses[std::size_t(t * stride + b)];
            }
        }
    }

private:
    struct Placed {
        std::size_t request = 0;
        std::int64_t begin = 0;  // position in the sample
    };

    // The positions after the last request are a document of their own, because segment_begin must not decrease.
    void fill_sample(Batch& batch, std::int64_t b, const std::vector<Placed>& all) const {
        std::int64_t used = 0;
        for (const Placed& placed : all) {
            put(batch, b, placed);
            used = placed.begin + std::int64_t(requests_[placed.request].tokens.size()) - 1;
        }
        for (std::int64_t t = used; t < window_; ++t)
            batch.segment_begin[std::size_t(t * batch.samples + b)] = std::int32_t(used);
    }
    void put(Batch& batch, std::int64_t b, const Placed& placed) const {
        const ChoiceRequest& request = requests_[placed.request];
        for (std::int64_t i = 0; i + 1 < std::int64_t(request.tokens.size()); ++i) {
            const auto at = std::size_t((placed.begin + i) * batch.samples + b);
            batch.tokens[at] = request.tokens[std::size_t(i)];
            batch.segment_begin[at] = std::int32_t(placed.begin);
            if (i + 1 < request.scored) continue;
            batch.labels[at] = request.tokens[std::size_t(i + 1)];
            ++batch.loss_tokens;
        }
    }

    std::span<const ChoiceRequest> requests_;
    std::int64_t window_;
    std::vector<std::vector<Placed>> samples_;
};

}  // namespace

std::vector<ChoiceTask> read_choice_tasks(const std::vector<std::string>& files) {
    std::vector<ChoiceTask> tasks;
    std::map<std::string, std::string> seen;
    for (const std::string& file : files) {
        const auto [other, fresh] = seen.emplace(choice_task_name(file), file);
        if (!fresh)
            fail(ExitCode::usage, "{} and {}: found the task name {} twice, expected file names that differ",
                 other->second, file, other->first);
        tasks.push_back(read_choice_task(file));
    }
    return tasks;
}

std::vector<PreparedTask> prepare_tasks(std::vector<ChoiceTask> tasks, const Tokenizer& tokenizer,
                                        const RunConfig& config, const std::optional<TokenIds>& imported) {
    std::string training;  // prefix of the first token files, if they exist
    if (!config.data.train.empty() && std::filesystem::exists(config.data.train.front().path + ".idx"))
        training = config.data.train.front().path;
    const ChoiceTokens tokens = choice_tokens(tokenizer, imported, training);
    std::vector<PreparedTask> prepared;
    for (ChoiceTask& task : tasks) {
        std::vector<ChoiceRequest> requests = choice_requests(task, tokenizer, tokens, config.data.sequence_length);
        prepared.push_back({std::move(task), std::move(requests)});
    }
    return prepared;
}

Likelihoods evaluate_requests(Replica& replica, Mesh& mesh, const PipelineShape& shape,
                              std::span<const ChoiceRequest> requests, const EvaluationHooks& hooks) {
    const PackedRequests packed(requests, replica.shape().compute.sequence);
    Likelihoods found{.values = std::vector<double>(requests.size(), 0.0)};
    const EvaluationSamples samples{
        .count = packed.samples(),
        .fill = [&](Batch& batch, std::int64_t first, std::int64_t count) { packed.fill(batch, first, count); },
        .mask_documents = true,
        .token_losses = [&](std::int64_t first, std::int64_t count,
                            const std::vector<double>& losses) { packed.add(found.values, first, count, losses); }};
    found.interrupted = evaluate(replica, mesh, shape, samples, hooks).interrupted;
    mesh.world->all_reduce(found.values.data(), std::int64_t(found.values.size()), ReduceOp::sum, "log-likelihoods");
    return found;
}

std::vector<TaskMetrics> score_tasks(Replica& replica, Mesh& mesh, const PipelineShape& shape,
                                     const std::vector<PreparedTask>& tasks, const EvaluationHooks& hooks) {
    std::vector<TaskMetrics> scores;
    for (const PreparedTask& prepared : tasks) {
        const Stopwatch watch;
        EvaluationHooks shared = hooks;  // the progress of all tasks
        if (hooks.progress)
            shared.progress = [&](double share) {
                hooks.progress((double(scores.size()) + share) / double(tasks.size()));
            };
        const Likelihoods found = evaluate_requests(replica, mesh, shape, prepared.requests, shared);
        if (found.interrupted) return {};
        scores.push_back(choice_scores(prepared.task, found.values));
        scores.back().seconds = watch.seconds();
    }
    return scores;
}

}  // namespace gpas
