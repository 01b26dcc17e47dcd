#include "engine/step/gathered_view.hpp"

#include "kernels/ops.hpp"

namespace gpas {

std::vector<Moments> gather_stream(const RunConfig& config, const ReplicaShape& shape, Mesh& mesh,
                                   const std::vector<Moments>& mine) {
    const std::size_t sites = std::size_t(2 * config.model.layers);
    std::vector<double> values(3 * sites, 0.0);
    std::size_t next = 0;
    for (const ModelPart& part : shape.parts)
        for (std::int64_t site = 2 * part.layers.begin; site < 2 * part.layers.end; ++site) {
            const Moments& moments = mine[next++];
            const std::size_t at = 3 * std::size_t(site);
            values[at] = moments.sum;
            values[at + 1] = moments.sum_of_squares;
            values[at + 2] = double(moments.count);
        }
    const std::int64_t count = std::int64_t(values.size());
    if (shape.compute.sequence_parallel) mesh.tensor->all_reduce(values.data(), count, ReduceOp::sum, "stream moments");
    mesh.pipeline_forward->all_reduce(values.data(), count, ReduceOp::sum, "stream moments");
    std::vector<Moments> stream;
    for (std::size_t i = 0; i < sites; ++i)
        stream.push_back({values[3 * i], values[3 * i + 1], std::int64_t(values[3 * i + 2])});
    return stream;
}

std::vector<float> gather_gates(const RunConfig& config, Replica& replica, Mesh& mesh) {
    const ParameterStore& store = replica.store;
    std::vector<double> values;
    for (const ParameterSpec& spec : parameter_specs(config.model, config.optimizer)) {
        if (spec.kind != ParameterKind::gate) continue;
        float value = 0.0F;
        if (store.contains(spec.name))
            copy(replica.context, Tensor(&value, Dtype::fp32, {1}), store.master(store.index_of(spec.name)));
        values.push_back(double(value));
    }
    mesh.pipeline_forward->all_reduce(values.data(), std::int64_t(values.size()), ReduceOp::sum, "gates");
    return {values.begin(), values.end()};
}

}  // namespace gpas
