// A complete training run that takes a fraction of a second: token file, configuration, metrics and checkpoint of a
// model with a few thousand parameters.
#pragma once

#include "engine/run/run_state.hpp"
#include "engine/run/trainer.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "io/data/indexed_writer.hpp"
#include "kernels/philox.hpp"
#include "tests/support/scratch_directory.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gpas::tiny_run {

using Directory = test_support::ScratchDirectory;

// 90 documents of different lengths, with a pattern that a model can learn.
inline void write_tokens(const std::string& prefix) {
    IndexedDatasetWriter writer(prefix, TokenDtype::uint16);
    for (std::uint32_t document = 0; document < 90; ++document) {
        std::vector<std::int32_t> ids;
        for (std::uint32_t i = 0; i < 20 + document % 37; ++i) {
            const std::uint32_t noise = philox({document, i, 0, 0}, 3, 4)[0] % 7;
            ids.push_back(std::int32_t(3 + (document * 5 + i * 3 + noise) % 60));
        }
        ids.push_back(2);
        writer.append(ids);
        writer.end_document();
    }
    writer.finish();
}

inline std::vector<std::string> tiny_settings(const std::string& tokens, const std::string& directory) {
    return {"data.train=" + tokens,
            "directory=" + directory,
            "data.valid_fraction=0.1",
            "data.sequence_length=16",
            "data.mask_documents=true",
            "model.vocab_size=64",
            "model.hidden_size=16",
            "model.ffn_size=27",
            "model.layers=2",
            "model.heads=4",
            "model.kv_heads=2",
            "training.steps=20",
            "training.global_batch_size=8",
            "training.micro_batch_size=4",
            "optimizer.learning_rate=1e-2",
            "optimizer.weight_decay=0.1",
            "optimizer.clip_grad=1.0",
            "schedule.warmup_steps=4",
            "evaluation.every=5",
            "evaluation.samples=9",
            "checkpoint.every=0",
            "checkpoint.keep_last=0",
            "metrics.gpas_every=3",
            "metrics.tensorboard=false",
            "compute.peak_tflops=1"};
}

inline LoadedConfig tiny_config(const std::string& tokens, const std::string& directory,
                                const std::vector<std::string>& changes = {}) {
    std::vector<std::string> settings = tiny_settings(tokens, directory);
    settings.insert(settings.end(), changes.begin(), changes.end());
    return load_config_text("name: tiny\n", "tiny", settings);
}

// The values in metrics.jsonl that do not depend on time: step and computed values, by kind of record.
inline std::vector<std::string> computed_records(const std::string& directory) {
    std::ifstream file(directory + "/metrics.jsonl");
    std::vector<std::string> records;
    std::string line;
    while (std::getline(file, line)) {
        const nlohmann::json record = nlohmann::json::parse(line);
        nlohmann::json kept;
        for (const auto& [key, value] : record.items())
            if (key.find("second") == std::string::npos && key.find("bytes") == std::string::npos &&
                key.find("per_") == std::string::npos && key.find("flops") == std::string::npos &&
                key.find("mfu") == std::string::npos && key != "time")
                kept[key] = value;
        records.push_back(kept.dump());
    }
    return records;
}

// One value per training step.
inline std::vector<double> numbers(const std::string& directory, const char* name) {
    std::ifstream file(directory + "/metrics.jsonl");
    std::vector<double> values;
    std::string line;
    while (std::getline(file, line)) {
        const nlohmann::json record = nlohmann::json::parse(line);
        if (record.contains("learning_rate")) values.push_back(record.at(name).get<double>());
    }
    return values;
}

inline std::vector<double> losses(const std::string& directory) { return numbers(directory, "loss"); }

// Every tensor of a checkpoint: weights and both moments.
inline std::map<std::string, std::vector<float>> tensors(const std::string& directory, std::int64_t step) {
    const CheckpointFile file(std::filesystem::path(directory) / "checkpoints" / checkpoint_file_name(step));
    std::map<std::string, std::vector<float>> all;
    for (const TensorInfo& info : file.tensors()) all[info.name] = file.read(info.name);
    return all;
}

}  // namespace gpas::tiny_run
