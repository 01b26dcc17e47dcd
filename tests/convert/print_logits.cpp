// print_logits CHECKPOINT IDS...: the logits of a checkpoint after each of these tokens, a line each. For
// scripts/check-transformers.
#include "base/error.hpp"
#include "engine/step/replica.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "io/config/load.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
    using namespace gpas;
    try {
        const CheckpointFile file(argv[1]);
        const ModelConfig model = load_config_text(file.header().config, argv[1]).values.model;
        std::vector<std::int32_t> ids;
        for (int i = 2; i < argc; ++i) ids.push_back(std::atoi(argv[i]));
        const std::int64_t length = std::int64_t(ids.size());
        Replica replica(model, {}, {.batch = 1, .sequence = length, .training = false}, 1);
        for (std::size_t i = 0; i < replica.store.specs().size(); ++i)
            std::ranges::copy(file.read("weights/" + replica.store.specs()[i].name),
                              replica.store.master(i).as<float>());
        std::vector<float> logits(std::size_t(model.vocab_size));
        for (std::int64_t p = 0; p < length; ++p) {
            replica.logits_at(Tensor(logits.data(), Dtype::fp32, {1, model.vocab_size}),
                              Tensor(ids.data(), Dtype::int32, {length}), p);
            for (const float value : logits) std::printf("%.9g ", double(value));
            std::printf("\n");
        }
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
