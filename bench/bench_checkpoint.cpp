// Measures how fast checkpoints are written, and how long training waits for them. Run it with mpirun:
//
//     mpirun -n 4 bench_checkpoint DIRECTORY [ROUNDS [model.layers=24 …]]
//
// The model's tensors are sharded over all ranks (tensor parallel; half of them by columns). Each round measures four
// ways to write them: plain writes and fsync of the same number of bytes, each rank to its own range of one file; a
// checkpoint that training waits for; a checkpoint in the background of training; and HDF5's MPI-IO driver.
#include "base/durable.hpp"
#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "engine/run/saves.hpp"
#include "engine/step/replica.hpp"
#include "io/checkpoint/hdf5_file.hpp"
#include "io/config/load.hpp"
#include "kernels/ops.hpp"
#include "parallel/mpi/mpi_communicator.hpp"
#include "parallel/mpi/mpi_handle.hpp"
#include "parallel/mpi/mpi_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

namespace gpas {
namespace {

namespace fs = std::filesystem;

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

class Bench {
public:
    Bench(Communicator& world, const fs::path& directory, const std::vector<std::string>& overrides)
        : world_(world),
          self_(make_self_communicator()),
          directory_(directory),
          config_(load_config_text("name: bench\n", "bench", overrides).values),
          context_(1, Arena(0)),
          arena_(store_bytes()),
          store_(parameter_specs(config_.model, config_.optimizer), shape(), arena_) {
        initialise(context_, store_, 1, *self_);
        for (const OwnedPiece& piece : store_.owned()) {  // moments that are not 0, as after some steps
            copy(context_, piece.m, piece.w);
            copy(context_, piece.v, piece.w);
        }
        bytes_ = saved_bytes(store_);
        double total = double(bytes_);
        world_.all_reduce(&total, 1, ReduceOp::sum, "bytes");
        total_bytes_ = total;
    }

    double total_bytes() const { return total_bytes_; }

    double plain() {
        const fs::path file = directory_ / "plain";
        if (world_.rank() == 0) PositionedFile(file, PositionedFile::Open::create);
        const HostState state(config_, context_, store_, Share::written, true);
        const std::vector<StateTensor> tensors = state.tensors();
        return timed([&] {
            PositionedFile out(file);
            std::int64_t at = bytes_ * world_.rank();
            for (const StateTensor& tensor : tensors) {
                if (tensor.count.empty()) continue;
                std::int64_t bytes = sizeof(float);
                for (const std::int64_t size : tensor.count) bytes *= size;
                out.write(at, tensor.data, bytes, tensor.name);
                at += bytes;
            }
            out.sync();
        });
    }

    // Seconds until the checkpoint is saved, and seconds that training waits.
    struct Times {
        double saved = 0.0, waited = 0.0;
    };
    Times checkpoint(double buffer_gib) {
        RunConfig config = config_;
        config.directory = (directory_ / "run").string();
        config.checkpoint.buffer_gib = buffer_gib;
        config.checkpoint.every = 1000;
        bool saved = false;
        Times times;
        RunSaves saves(world_, config, {}, context_, store_,
                       [&](const std::string& line) { saved = saved || line.starts_with("saved "); });
        world_.barrier("bench");
        const Stopwatch watch;
        times.waited = saves.after_step({.step = 1000}, false);
        for (std::int64_t step = 1001; !saved; ++step) {
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
            std::int64_t written = saves.written() ? 1 : 0;  // a run reduces this number together with the loss
            world_.all_reduce(&written, 1, ReduceOp::min, "bench");
            times.waited += saves.after_step({.step = step}, false, written == 1);
        }
        times.saved = watch.seconds();
        double both[2] = {times.saved, times.waited};
        world_.all_reduce(both, 2, ReduceOp::max, "bench");
        clean();
        return {both[0], both[1]};
    }

    double mpi_io() {
        const fs::path file = directory_ / "mpi_io.h5";
        const HostState state(config_, context_, store_, Share::written, true);
        const std::vector<StateTensor> tensors = state.tensors();
        const double seconds = timed([&] {
            const h5::At at{file, "bench", ExitCode::environment};
            h5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, at);
            h5::check(H5Pset_fapl_mpio(access, mpi_handle(world_), MPI_INFO_NULL), at);
            h5::Handle out(H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access), H5Fclose, at);
            for (const char* group : {"weights", "adam_m", "adam_v"}) h5::create_group(out, group, at);
            for (const StateTensor& tensor : tensors)
                if (tensor.count.empty()) h5::create_dataset(out, tensor.name, H5T_IEEE_F32LE, tensor.global_shape, at);
            for (const StateTensor& tensor : tensors) write(out, tensor, at);
            h5::check(H5Fflush(out, H5F_SCOPE_GLOBAL), at);
            out.close(at);
            PositionedFile(file).sync();
        });
        return seconds;
    }

private:
    StoreShape shape() const { return {.tensor_rank = world_.rank(), .tensor_size = world_.size()}; }
    std::int64_t store_bytes() const {
        Arena measure = Arena::measuring();
        const ParameterStore store(parameter_specs(config_.model, config_.optimizer), shape(), measure);
        return measure.used_bytes();
    }
    static void write(hid_t file, const StateTensor& tensor, const h5::At& at) {
        if (tensor.count.empty()) return;
        const std::vector<hsize_t> start(tensor.start.begin(), tensor.start.end());
        const std::vector<hsize_t> count(tensor.count.begin(), tensor.count.end());
        h5::Handle dataset(H5Dopen2(file, tensor.name.c_str(), H5P_DEFAULT), H5Dclose, at);
        h5::Handle space(H5Dget_space(dataset), H5Sclose, at);
        h5::check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr), at);
        h5::Handle memory(H5Screate_simple(int(count.size()), count.data(), nullptr), H5Sclose, at);
        h5::check(H5Dwrite(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, tensor.data), at);
    }
    template <class Body>
    double timed(Body&& body) {
        world_.barrier("bench");
        const Stopwatch watch;
        body();
        world_.barrier("bench");
        const double seconds = watch.seconds();
        clean();
        return seconds;
    }
    void clean() {
        if (world_.rank() == 0)
            for (const char* name : {"plain", "run", "mpi_io.h5"}) fs::remove_all(directory_ / name);
        world_.barrier("bench");
    }

    Communicator& world_;
    std::unique_ptr<Communicator> self_;
    fs::path directory_;
    RunConfig config_;
    Context context_;
    Arena arena_;
    ParameterStore store_;
    std::int64_t bytes_ = 0;  // of this rank
    double total_bytes_ = 0.0;
};

int run(const fs::path& directory, int rounds, const std::vector<std::string>& overrides) {
    const auto world = MpiCommunicator(MPI_COMM_WORLD).duplicate();
    Bench bench(*world, directory, overrides);
    std::vector<double> plain, waiting, background, waited, mpi_io, share, blocked;
    for (int i = 0; i < rounds; ++i) {
        plain.push_back(bench.plain());
        waiting.push_back(bench.checkpoint(0.0).saved);
        const Bench::Times times = bench.checkpoint(1000.0);
        background.push_back(times.saved);
        waited.push_back(times.waited);
        mpi_io.push_back(bench.mpi_io());
        share.push_back(plain.back() / waiting.back());
        blocked.push_back(times.waited / waiting.back());
        if (world->rank() == 0) {
            fmt::print(
                "  round {}: plain {:.2f} s, waiting {:.2f}, in the background {:.2f} (waited {:.3f}), MPI-IO {:.2f}\n",
                i + 1, plain.back(), waiting.back(), background.back(), waited.back(), mpi_io.back());
            std::fflush(stdout);
        }
    }
    if (world->rank() != 0) return 0;
    const double gigabytes = bench.total_bytes() / 1e9;
    fmt::print("{} ranks, {:.2f} GB; medians of {} rounds\n", world->size(), gigabytes, rounds);
    const auto line = [&](const char* name, const std::vector<double>& seconds) {
        fmt::print("| {:<42} | {:6.2f} s | {:5.2f} GB/s |\n", name, median(seconds), gigabytes / median(seconds));
    };
    line("plain writes and fsync", plain);
    line("checkpoint, training waits", waiting);
    line("checkpoint, in the background", background);
    line("HDF5 with MPI-IO, without checksums", mpi_io);
    fmt::print("speed of a checkpoint over plain writes: {:.2f}\n", median(share));
    fmt::print("training waits {:.3f} s for a background checkpoint: {:.1f} % of a checkpoint it waits for\n",
               median(waited), 100.0 * median(blocked));
    return 0;
}

}  // namespace
}  // namespace gpas

int main(int argc, char** argv) {
    gpas::MpiSession mpi(&argc, &argv);
    try {
        std::vector<std::string> overrides{"model.hidden_size=1024", "model.ffn_size=2736", "model.layers=20",
                                           "model.heads=16"};
        for (int i = 3; i < argc; ++i) overrides.emplace_back(argv[i]);
        return gpas::run(argc > 1 ? argv[1] : ".", argc > 2 ? std::atoi(argv[2]) : 5, overrides);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench_checkpoint: {}\n", error.what());
        mpi.abort(1);
    }
}
