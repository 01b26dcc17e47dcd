// A small training state and a place to put its checkpoints.
#pragma once

#include "base/error.hpp"
#include "io/checkpoint/blocks.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "parallel/mpi/mpi_communicator.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace gpas::checkpoint_tests {

using std::filesystem::path;

inline std::unique_ptr<Communicator> world() { return MpiCommunicator(MPI_COMM_WORLD).duplicate(); }

using test_support::ScratchDirectory;

struct Named {
    std::string name;
    std::vector<std::int64_t> shape;
};

inline std::vector<Named> sample_tensors() {
    std::vector<Named> all;
    for (const char* group : {"weights/", "adam_m/", "adam_v/"})
        for (const Named& tensor :
             {Named{"model.embed_tokens.weight", {37, 24}}, Named{"model.layers.0.gpas_gate", {1}},
              Named{"model.layers.0.mlp.down_proj.weight", {24, 43}},
              Named{"model.layers.0.input_layernorm.weight", {24}}, Named{"cube", {5, 3, 7}}})
            all.push_back({group + tensor.name, tensor.shape});
    return all;
}

// The value at a global index, on any rank: distinct for each tensor and element, some negative. Exact in fp32, so
// that it does not matter where the compiler evaluates it.
inline float value_of(const std::string& name, std::int64_t flat) {
    const std::size_t h = std::hash<std::string>{}(name) % 1000;
    return (float(h) - 500.0f) * 0.25f + float(flat % 100003) * (flat % 2 ? -0.125f : 0.25f);
}

// One rank's part of a state, with the memory behind it.
struct State {
    std::vector<std::vector<float>> memory;
    std::vector<StateTensor> parts;

    void add(const Named& tensor, std::vector<std::int64_t> start, std::vector<std::int64_t> count) {
        memory.emplace_back(std::size_t(count.empty() ? 0 : element_count(count)), 0.0f);
        parts.push_back({tensor.name, tensor.shape, std::move(start), std::move(count), nullptr});
    }
    void fill(bool with_values) {
        for (std::size_t i = 0; i < parts.size(); ++i) {
            parts[i].data = memory[i].data();
            std::fill(memory[i].begin(), memory[i].end(), -7.0f);
            if (with_values) for_each_element(i, [](float& value, float expected) { value = expected; });
        }
    }
    std::int64_t wrong() {
        std::int64_t count = 0;
        for (std::size_t i = 0; i < parts.size(); ++i)
            for_each_element(
                i, [&](float& value, float expected) { count += std::memcmp(&value, &expected, sizeof value) != 0; });
        return count;
    }
    template <class Body>
    void for_each_element(std::size_t i, Body&& body) {
        for_each_run(parts[i].global_shape, parts[i].start, parts[i].count,
                     [&](std::int64_t flat, std::int64_t offset, std::int64_t n) {
                         for (std::int64_t k = 0; k < n; ++k)
                             body(memory[i][std::size_t(offset + k)], value_of(parts[i].name, flat + k));
                     });
    }
};

inline State whole_state(const std::vector<Named>& tensors, bool with_values) {
    State state;
    for (const Named& tensor : tensors)
        state.add(tensor, std::vector<std::int64_t>(tensor.shape.size(), 0), tensor.shape);
    state.fill(with_values);
    return state;
}

inline CheckpointHeader sample_header(std::int64_t step = 100) {
    CheckpointHeader header;
    header.software = "gpas 0.1.0";
    header.run_name = "probe";
    header.step = step;
    header.consumed_samples = step * 512;
    header.consumed_tokens = step * 512 * 256;
    header.optimizer_steps = step - 1;
    header.seed = 1234;
    header.config = "model:\n  hidden_size: 24\n# ünïcode\n";
    header.layout = "tensor 1, pipeline 1, data 1";
    header.dataset_fingerprint = "d41d8cd98f00b204";
    header.extra["note"] = "";
    header.extra["words"] = "two words";
    return header;
}

inline std::vector<char> bytes_of(const path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_bytes(const path& file, const std::vector<char>& bytes) {
    std::ofstream(file, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

// The message of the Error that body throws, its code checked; fails the test when none comes.
template <class Body>
std::string error_of(ExitCode code, Body&& body) {
    try {
        body();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), code) << error.what();
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
}

inline std::vector<std::string> names_in(const path& directory) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace gpas::checkpoint_tests
