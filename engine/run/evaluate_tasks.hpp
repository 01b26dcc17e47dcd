// Evaluates multiple-choice questions: packs their texts into samples, computes the log-likelihoods and scores them.
#pragma once

#include "engine/run/choice_requests.hpp"
#include "engine/run/evaluate.hpp"
#include "io/config/run_config.hpp"
#include "io/metrics/metrics.hpp"

#include <span>
#include <vector>

namespace gpas {

// A task and its texts (choice_requests).
struct PreparedTask {
    ChoiceTask task;
    std::vector<ChoiceRequest> requests;
};

// Reads the files, in this order. Error(bad_file) as read_choice_task; Error(usage) if two files have the same task name.
std::vector<ChoiceTask> read_choice_tasks(const std::vector<std::string>& files);

// Encodes the tasks. imported: as for choice_tokens. Errors as choice_tokens and choice_requests.
std::vector<PreparedTask> prepare_tasks(std::vector<ChoiceTask> tasks, const Tokenizer& tokenizer,
                                        const RunConfig& config, const std::optional<TokenIds>& imported);

// The log-likelihoods of requests.
struct Likelihoods {
    std::vector<double> values;  // natural logarithms, in the order of the requests
    bool interrupted = false;    // hooks.stop has ended the evaluation, and the values must not be used
};
// The same result on every rank. Several requests share a sample, and each attends to its own tokens only. Collective
// over the mesh.
Likelihoods evaluate_requests(Replica& replica, Mesh& mesh, const PipelineShape& pipeline,
                              std::span<const ChoiceRequest> requests, const EvaluationHooks& hooks = {});

// Evaluates and scores the tasks (choice_scores). Returns one record per task, in the same order and on every rank, without
// step; nothing if hooks.stop has ended the evaluation. Collective over the mesh.
std::vector<TaskMetrics> score_tasks(Replica& replica, Mesh& mesh, const PipelineShape& pipeline,
                                     const std::vector<PreparedTask>& tasks, const EvaluationHooks& hooks = {});

}  // namespace gpas
