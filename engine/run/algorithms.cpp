#include "engine/run/algorithms.hpp"

#include "base/durable.hpp"
#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "engine/model/products.hpp"
#include "kernels/cuda/matmul.hpp"

#include <fstream>

namespace gpas {

ChosenAlgorithms choose_algorithms(Communicator& world, const ReplicaShape& shape, Context& context,
                                   const std::filesystem::path& directory) {
    if (context.on_cpu()) return {};
    const Stopwatch watch;
    ChosenAlgorithms chosen;
    chosen.machine = cuda::matmul_machine(context);
    if (!directory.empty()) chosen.file = directory / "matmul" / "choices.txt";
    cuda::MatmulChoices kept;
    if (world.rank() == 0 && !chosen.file.empty()) kept = cuda::read_matmul_choices(chosen.file, chosen.machine);
    chosen.shared = share_choices(
        world, products_of(shape.model, shape.compute, shape.parts), chosen.machine, kept,
        [&](std::span<const cuda::MatmulKey> products) { return cuda::fastest_matmuls(context, products); });
    cuda::take_matmul_choices(context, chosen.shared.choices);
    const std::int64_t old = chosen.shared.products - chosen.shared.timed;
    chosen.note =
        fmt::format("matrix products: {} kinds, {} timed in {:.1f} s{}", chosen.shared.products, chosen.shared.timed,
                    watch.seconds(), old == 0 ? "" : fmt::format(", {} as in {}", old, chosen.file.string()));
    // The file keeps choices for other layouts and micro-batch sizes of earlier starts.
    chosen.shared.choices.insert(kept.begin(), kept.end());
    return chosen;
}

void keep_algorithms(const ChosenAlgorithms& algorithms) {
    if (algorithms.file.empty() || algorithms.shared.timed == 0) return;
    std::error_code error;
    std::filesystem::create_directories(algorithms.file.parent_path(), error);  // ignored: writing the file reports it
    std::filesystem::path temporary = algorithms.file;
    temporary += ".tmp";
    TemporaryFile guard(temporary);
    std::ofstream file(temporary);
    file << cuda::text_of(algorithms.shared.choices, algorithms.machine);
    file.close();
    if (!file) fail(ExitCode::environment, "{}: cannot be written; check `directory`", temporary.string());
    guard.rename_to(algorithms.file);
}

}  // namespace gpas
