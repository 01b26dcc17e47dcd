#include "engine/convert/shared.hpp"

#include "base/durable.hpp"
#include "base/error.hpp"
#include "parallel/agree.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>

namespace gpas {

void check_new(const std::filesystem::path& directory) {
    std::error_code error;
    if (std::filesystem::exists(directory, error) &&
        (!std::filesystem::is_directory(directory, error) || !std::filesystem::is_empty(directory, error)))
        fail(ExitCode::usage, "{}: exists already; name a new directory", directory.string());
}

NewDirectory::NewDirectory(Communicator& world, const std::filesystem::path& target) : target_(target) {
    if (!target_.has_filename()) target_ = target_.parent_path();
    path_ = target_.parent_path() / ("." + target_.filename().string() + ".tmp");
    agree(world, [&] {
        if (world.rank() != 0) return;
        std::error_code error;
        std::filesystem::remove_all(path_, error);
        if (!error) std::filesystem::create_directories(path_, error);
        if (error)
            fail(ExitCode::environment, "{}: cannot be created: {}; name another target", path_.string(),
                 error.message());
        pending_ = true;
    });
}

NewDirectory::~NewDirectory() {
    std::error_code ignored;
    if (pending_) std::filesystem::remove_all(path_, ignored);
}

void NewDirectory::publish() {
    std::error_code error;
    std::filesystem::remove(target_, error);  // an empty directory
    std::filesystem::rename(path_, target_, error);
    if (error) fail(ExitCode::environment, "{}: cannot be created: {}", target_.string(), error.message());
    pending_ = false;
}

void check_finite(const std::vector<float>& values, const std::vector<std::int64_t>& shape, const std::string& tensor) {
    const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
    if (bad == values.end()) return;
    std::int64_t rest = bad - values.begin();
    std::string index;
    for (std::size_t axis = shape.size(); axis-- > 0; rest /= shape[axis])
        index = fmt::format("{}{}{}", rest % shape[axis], index.empty() ? "" : ", ", index);
    fail(ExitCode::bad_file,
         "{}[{}] is {}: weights with NaN or Inf cannot be used; take them from a checkpoint before training diverged",
         tensor, index, *bad);
}

void write_text(const std::filesystem::path& file, const std::string& text) {
    const std::filesystem::path temporary = file.string() + ".tmp";
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    PositionedFile out(temporary, PositionedFile::Open::create);
    TemporaryFile guard(temporary);
    out.write(0, text.data(), std::int64_t(text.size()), file.filename().string());
    guard.rename_to(file);
}

void copy_whole(const std::filesystem::path& from, const std::filesystem::path& to) {
    std::ifstream in(from, std::ios::binary);
    if (!in) fail(ExitCode::bad_file, "{}: cannot be read", from.string());
    write_text(to, std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>()));
}

void report_logits(const ConvertOptions& options, const std::string& tokens, const WeightedModel& source,
                   const WeightedModel& result, bool exact) {
    constexpr std::int64_t length = 64;
    const ProbeTokens probe = probe_tokens(tokens, length, source.model.vocab_size);
    // Computes one model after the other, so that only one is in memory.
    const std::vector<float> before = logits_of(source.model, source.weights, probe, options.threads);
    const std::vector<float> after = logits_of(result.model, result.weights, probe, options.threads);
    const LogitsDifference difference = compare_logits(before, after, source.model.vocab_size);
    options.say(
        fmt::format("logits of source and result differ by at most {:.3g} (largest logit {:.3g}); the likeliest "
                    "token is the same at {} of {} positions; {}",
                    difference.largest, difference.of, difference.same_top, difference.positions, probe.source));
    if (exact && difference.largest != 0.0)
        fail(ExitCode::internal, "the weights are the same, but the logits are not");
}

}  // namespace gpas
