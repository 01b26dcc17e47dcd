// Small models of every class of transformers that gpas imports: logits, loss and gradients are those that transformers
// and PyTorch computed (model_goldens.json, written by scripts/check-models --goldens).
#include "engine/convert/convert.hpp"
#include "engine/convert/hugging_face_weights.hpp"
#include "engine/convert/logits.hpp"
#include "io/hugging_face/config.hpp"
#include "tests/support/models.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

namespace gpas {
namespace {

using nlohmann::json;

// The weights of the goldens: of element i of a tensor, from the name alone. Biases and matrices are in [-0.5, 0.5),
// norms in [0.5, 1.5).
float golden_weight(const std::string& name, std::int64_t i) {
    std::uint32_t hash = 2166136261U;
    for (const char c : name) hash = (hash ^ std::uint32_t(static_cast<unsigned char>(c))) * 16777619U;
    hash = (hash + std::uint32_t(i)) * 2654435761U;
    hash ^= hash >> 15;
    hash *= 2246822519U;
    hash ^= hash >> 13;
    const float u = float(hash >> 16) / 65536.0F - 0.5F;
    return name.ends_with("norm.weight") ? 1.0F + u : u;
}

void write_model(const std::filesystem::path& directory, const json& golden) {
    std::filesystem::create_directories(directory);
    std::ofstream(directory / "config.json") << golden.at("config").dump();
    SafetensorsPlan plan{.dtype = StoredDtype::fp32, .tensors = {}, .metadata = {}};
    for (const auto& [name, shape] : golden.at("tensors").items())
        plan.tensors.push_back({name, shape.get<std::vector<std::int64_t>>()});
    SafetensorsWriter writer(directory / "model.safetensors", plan);
    for (const SafetensorsPlan::Tensor& tensor : plan.tensors) {
        std::int64_t count = 1;
        for (const std::int64_t dim : tensor.shape) count *= dim;
        std::vector<float> values;
        for (std::int64_t i = 0; i < count; ++i) values.push_back(golden_weight(tensor.name, i));
        writer.write(values);
    }
    writer.finish();
}

double norm_of(const std::vector<float>& values) {
    double sum = 0.0;
    for (const float value : values) sum += double(value) * double(value);
    return std::sqrt(sum);
}

// The gradients of the mean loss; the norm of each tensor's is the golden's.
void expect_gradients(const ModelConfig& model, const Weights& weights, const json& golden, const json& tokens) {
    const std::int64_t length = std::int64_t(tokens.size()) - 1;
    reference::Rows rows{.batch = 1, .sequence = length};
    for (std::int64_t t = 0; t < length; ++t) {
        rows.tokens.push_back(tokens[std::size_t(t)]);
        rows.labels.push_back(tokens[std::size_t(t) + 1]);
        rows.segment_begin.push_back(0);
    }
    Replica replica(model, {}, {.batch = 1, .sequence = length}, 1);
    for (std::size_t i = 0; i < replica.store.specs().size(); ++i)
        std::ranges::copy(weights(replica.store.specs()[i].name), replica.store.master(i).as<float>());
    fill(replica.context, replica.store.all_gradients(), 0.0F);
    const double loss = replica.loss_and_backward(testing_models::rows_of(rows), 1.0F / float(length));
    EXPECT_NEAR(loss / double(length), golden.at("loss").get<double>(), 1e-5);
    const json& norms = golden.at("gradient_norms");
    std::size_t compared = 0;
    for (const HuggingFaceTensor& tensor : hugging_face_tensors(model)) {
        const std::vector<float> gradient =
            testing_models::gradient_of(replica, replica.store.index_of(tensor.parameter));
        const double expected = norms.at(tensor.name);
        EXPECT_NEAR(norm_of(taken(tensor, gradient)), expected, 2e-5 * expected + 1e-6) << tensor.name;
        ++compared;
    }
    EXPECT_EQ(compared, norms.size());
}

TEST(ModelClasses, have_the_logits_and_gradients_of_transformers_and_come_back_with_the_same_bits) {
    std::ifstream in(GPAS_MODEL_GOLDENS);
    const json goldens = json::parse(in);
    const test_support::ScratchDirectory scratch;
    const std::unique_ptr<Communicator> self = make_self_communicator();
    ASSERT_GE(goldens.at("classes").size(), 9U);
    for (const auto& [name, golden] : goldens.at("classes").items()) {
        SCOPED_TRACE(name);
        const std::filesystem::path directory = scratch / name;
        write_model(directory, golden);
        const ModelConfig model = read_hugging_face_config(directory / "config.json", "").model;
        const HuggingFaceWeights weights(directory, model);
        ProbeTokens tokens{.ids = goldens.at("tokens").get<std::vector<std::int32_t>>(), .source = ""};
        expect_gradients(model, weights.weights(), golden, goldens.at("tokens"));
        const std::vector<float> logits = logits_of(model, weights.weights(), tokens, 1);
        const auto expected = golden.at("logits").get<std::vector<float>>();
        const std::size_t last = logits.size() - expected.size();  // of the last position
        for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(logits[last + i], expected[i], 2e-5) << i;

        const auto options = [&](const std::string& from, const std::string& to) {
            return ConvertOptions{.source = scratch / from,
                                  .target = scratch / to,
                                  .dtype = StoredDtype::fp32,
                                  .tokenizer = "none",
                                  .logits = false,
                                  .say = [](const std::string&) {}};
        };
        import_hugging_face(*self, options(name, name + " imported"));
        const std::string checkpoint = name + " imported/checkpoints/step_00000000.h5";
        export_hugging_face(*self, options(checkpoint, name + " exported"));
        const SafetensorsFile before(directory / "model.safetensors");
        const SafetensorsFile after(scratch / (name + " exported/model.safetensors"));
        EXPECT_EQ(after.entries().size(), before.entries().size());
        for (const SafetensorsEntry& entry : before.entries()) {
            const SafetensorsEntry* found = after.find(entry.name);
            ASSERT_NE(found, nullptr) << entry.name;
            EXPECT_EQ(found->shape, entry.shape) << entry.name;
            EXPECT_EQ(after.read(*found), before.read(entry)) << entry.name;
        }
        const json config = json::parse(std::ifstream(scratch / (name + " exported/config.json")));
        EXPECT_EQ(config.at("architectures"), golden.at("exported_as"));
    }
}

}  // namespace
}  // namespace gpas
