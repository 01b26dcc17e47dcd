#include "engine/convert/hugging_face_weights.hpp"

#include "base/error.hpp"
#include "engine/convert/shared.hpp"
#include "io/checkpoint/blocks.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>

namespace gpas {
namespace {

using std::filesystem::path;

constexpr std::size_t most_named = 8;

// The distinct files that the index names.
std::set<std::string> indexed_files(const path& index) {
    std::ifstream in(index);
    nlohmann::json root;
    try {
        root = nlohmann::json::parse(in);
        std::set<std::string> files;
        for (const auto& [tensor, file] : root.at("weight_map").items()) files.insert(file.get<std::string>());
        for (const std::string& file : files)
            if (path(file).filename() != file || file.starts_with("."))
                fail(ExitCode::bad_file, "{}: weight_map names \"{}\", which is not a file in the same directory",
                     index.string(), file);
        return files;
    } catch (const nlohmann::json::exception& error) {
        fail(ExitCode::bad_file, "{}: is not an index of safetensors: expected {{\"weight_map\": {{tensor: file}}}}",
             index.string());
    }
}

[[noreturn]] void fail_without_weights(const path& directory) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        const std::string extension = entry.path().extension().string();
        if (extension == ".bin" || extension == ".pt" || extension == ".pth")
            fail(ExitCode::bad_file,
                 "{}: pickled weights run code when they are read, so they are not; save them as safetensors "
                 "(transformers: model.save_pretrained)",
                 entry.path().string());
    }
    fail(ExitCode::bad_file, "{}: has neither model.safetensors nor model.safetensors.index.json", directory.string());
}

// Buffers that old versions of transformers saved with the weights. They are functions of the configuration: ignored.
bool is_buffer(const std::string& name) { return name.ends_with(".rotary_emb.inv_freq"); }

}  // namespace

HuggingFaceWeights::HuggingFaceWeights(const path& directory, const ModelConfig& model) : directory_(directory) {
    open(directory);
    for (HuggingFaceTensor& tensor : hugging_face_tensors(model))
        tensors_[tensor.parameter].push_back(std::move(tensor));
    check(model);
}

void HuggingFaceWeights::open(const path& directory) {
    const path index = directory / "model.safetensors.index.json", single = directory / "model.safetensors";
    std::set<std::string> names;
    if (std::filesystem::exists(index))
        names = indexed_files(index);
    else if (std::filesystem::exists(single))
        names = {"model.safetensors"};
    else
        fail_without_weights(directory);
    for (const std::string& name : names) {
        files_.push_back(std::make_unique<SafetensorsFile>(directory / name));
        for (const SafetensorsEntry& entry : files_.back()->entries())
            if (!places_.emplace(entry.name, Place{files_.back().get(), &entry}).second)
                fail(ExitCode::bad_file, "{}: {} is in two files", directory.string(), entry.name);
    }
}

void HuggingFaceWeights::check(const ModelConfig& model) {
    std::vector<std::string> differences;
    std::set<std::string> left;
    for (const auto& [name, place] : places_)
        if (!is_buffer(name)) left.insert(name);
    for (const auto& [parameter, tensors] : tensors_)
        for (const HuggingFaceTensor& tensor : tensors) {
            const auto found = places_.find(tensor.name);
            if (found == places_.end()) {
                differences.push_back(fmt::format("{} is missing", tensor.name));
                continue;
            }
            const std::vector<std::int64_t>& shape = found->second.entry->shape;
            const bool scalar = tensor.shape.empty() && shape == std::vector<std::int64_t>{1};
            if (shape != tensor.shape && !scalar)
                differences.push_back(fmt::format("{} is {}, the model has {}", tensor.name, shape_text(shape),
                                                  shape_text(tensor.shape)));
            left.erase(tensor.name);
        }
    if (model.tied_embeddings && left.erase("lm_head.weight") > 0) {  // some files hold it although it is tied
        const Place head = places_.at("lm_head.weight"), embedding = places_.at("model.embed_tokens.weight");
        const std::vector<float> a = head.file->read(*head.entry), b = embedding.file->read(*embedding.entry);
        if (a.size() != b.size() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) != 0)
            differences.push_back("lm_head.weight is not the embedding, although tie_word_embeddings is true");
    }
    for (const std::string& name : left) differences.push_back(fmt::format("{} is not in the model", name));
    if (differences.empty()) return;
    std::string text;
    for (std::size_t i = 0; i < std::min(differences.size(), most_named); ++i) text += (i ? "; " : "") + differences[i];
    if (differences.size() > most_named) text += fmt::format("; and {} more", differences.size() - most_named);
    fail(ExitCode::bad_file, "{}: the weights are not those of config.json: {}", directory_.string(), text);
}

Weights HuggingFaceWeights::weights() const {
    return [this](const std::string& parameter) { return read(parameter); };
}

std::vector<float> HuggingFaceWeights::read(const std::string& parameter) const {
    const std::vector<HuggingFaceTensor>& tensors = tensors_.at(parameter);
    std::int64_t elements = 0;
    for (const HuggingFaceTensor& tensor : tensors) elements += tensor.elements();
    std::vector<float> values(std::size_t(elements), 0.0F);
    for (const HuggingFaceTensor& tensor : tensors) {
        const Place& place = places_.at(tensor.name);
        const std::vector<float> read = place.file->read(*place.entry);
        check_finite(read, tensor.shape, fmt::format("{}: {}", place.file->path().string(), tensor.name));
        put(tensor, read, values);
    }
    return values;
}

}  // namespace gpas
