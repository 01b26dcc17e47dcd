#include "engine/run/paper_evaluation.hpp"

#include "base/error.hpp"
#include "engine/run/evaluate.hpp"
#include "parallel/agree.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>

namespace gpas {
namespace {

constexpr std::int64_t most_tokens = 10'000'000;

std::int64_t positive_number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() && value <= 1'000'000 ? value : 0;
}

// A batch of `count` samples: first, first + stride, first + 2 stride, ….
Batch strided_batch(const ValidationSet& samples, std::int64_t first, std::int64_t stride, std::int64_t count) {
    Batch one, all;
    for (std::int64_t b = 0; b < count; ++b) {
        samples.fill(one, first + b * stride, 1);
        if (b == 0) {
            all = {.samples = count, .sequence_length = one.sequence_length};
            const std::size_t elements = std::size_t(count * one.sequence_length);
            for (auto* values : {&all.tokens, &all.labels, &all.segment_begin}) values->resize(elements);
        }
        for (std::int64_t t = 0; t < one.sequence_length; ++t) {
            const auto from = std::size_t(t), to = std::size_t(t * count + b);
            all.tokens[to] = one.tokens[from];
            all.labels[to] = one.labels[from];
            all.segment_begin[to] = one.segment_begin[from];
        }
        all.loss_tokens += one.loss_tokens;
    }
    return all;
}

// Divides `batch` into micro-batches of `micro` samples. The last one is padded with samples without labels.
std::vector<Batch> micro_batches(const Batch& batch, std::int64_t micro) {
    std::vector<Batch> parts;
    for (std::int64_t first = 0; first < batch.samples; first += micro) {
        const std::int64_t count = std::min(micro, batch.samples - first);
        Batch& part = parts.emplace_back(Batch{.samples = micro, .sequence_length = batch.sequence_length});
        const std::size_t elements = std::size_t(micro * batch.sequence_length);
        part.tokens.assign(elements, 0);
        part.labels.assign(elements, -1);
        part.segment_begin.assign(elements, 0);
        for (std::int64_t t = 0; t < batch.sequence_length; ++t) {
            const std::int64_t from = t * batch.samples + first, to = t * micro;
            std::copy_n(batch.tokens.begin() + from, count, part.tokens.begin() + to);
            std::copy_n(batch.labels.begin() + from, count, part.labels.begin() + to);
            std::copy_n(batch.segment_begin.begin() + from, count, part.segment_begin.begin() + to);
        }
        for (const std::int32_t label : part.labels) part.loss_tokens += label != -1;
    }
    return parts;
}

}  // namespace

PaperLayout parse_paper_layout(const std::string& text) {
    const std::size_t x = text.find('x');
    PaperLayout layout;
    layout.batch = positive_number(std::string_view(text).substr(0, x));
    if (x != std::string::npos) layout.gpus = positive_number(std::string_view(text).substr(x + 1));
    if (layout.batch < 1 || layout.gpus < 1)
        fail(ExitCode::usage,
             "--paper: found '{}', expected the --batch_size of the paper's code and its number of GPUs, such as "
             "256x1 for 71M and 130M, 128x2 for 250M, 128x4 for 350M or 32x4 for 1B",
             text);
    return layout;
}

PaperEvaluation evaluate_as_paper(Replica& replica, Mesh& mesh, const PipelineShape& shape,
                                  const ValidationSet& samples, bool mask_documents, const PaperLayout& layout) {
    const std::int64_t micro = replica.shape().compute.batch;
    const std::int64_t at_once = std::max<std::int64_t>(1, std::min<std::int64_t>(64, replica.row_slots()));
    const bool counted = mesh.last_stage() && mesh.place.tensor == 0;
    Pipeline pipeline(replica, mesh, shape);
    const auto loss_of = [&](const Batch& batch) {
        std::vector<Batch> parts = micro_batches(batch, micro);
        double loss = 0.0;
        for (std::size_t i = 0; i < parts.size(); i += std::size_t(at_once)) {
            const auto end = std::min(parts.size(), i + std::size_t(at_once));
            std::vector<Batch> some(parts.begin() + std::ptrdiff_t(i), parts.begin() + std::ptrdiff_t(end));
            loss += pipeline.evaluate(
                {.batches = some, .mask_documents = mask_documents, .step = mesh.world->board().step});
        }
        return loss;
    };

    // Every rank reads all batches, since the tokens decide after which batch a GPU stops. Each batch is computed by
    // one data-parallel rank, in turn.
    PaperEvaluation result;
    std::vector<double> sums(std::size_t(layout.gpus), 0.0);
    std::int64_t turn = 0;
    for (std::int64_t gpu = 0; gpu < layout.gpus; ++gpu) {
        std::int64_t tokens = 0, batches = 0;
        const std::int64_t available = (samples.samples() - gpu + layout.gpus - 1) / layout.gpus / layout.batch;
        for (; batches < available && tokens <= most_tokens; ++batches) {
            const Batch batch =
                strided_batch(samples, gpu + batches * layout.batch * layout.gpus, layout.gpus, layout.batch);
            if (batch.loss_tokens == 0)
                throw AgreedError(ExitCode::usage,
                                  fmt::format("--paper: batch {} of GPU {} has no loss token, so its mean is not a "
                                              "number; use longer documents or a larger batch",
                                              batches, gpu));
            const auto padding = std::count(batch.tokens.begin(), batch.tokens.end(), TokenDataset::padding_token);
            tokens += (std::int64_t(batch.tokens.size()) - padding) * layout.gpus;
            if (turn++ % mesh.size.data != mesh.place.data) continue;
            const double loss = loss_of(batch);
            if (counted) sums[std::size_t(gpu)] += loss / double(batch.loss_tokens);
        }
        if (batches == 0)
            throw AgreedError(ExitCode::usage,
                              fmt::format("--paper: {} validation samples do not fill one batch of {} for each of {} "
                                          "GPU(s); use --all, more validation data or a smaller batch",
                                          samples.samples(), layout.batch, layout.gpus));
        result.tokens += tokens / layout.gpus;
        result.batches.push_back(batches);
    }
    mesh.world->all_reduce(sums.data(), std::int64_t(sums.size()), ReduceOp::sum, "evaluation as in the paper's code");
    for (std::size_t gpu = 0; gpu < sums.size(); ++gpu)
        result.loss += sums[gpu] / double(result.batches[gpu] + 1) / double(layout.gpus);
    return result;
}

}  // namespace gpas
