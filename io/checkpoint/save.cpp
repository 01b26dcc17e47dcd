// Who does what: rank 0 lays the file out and closes it; all ranks write their hyperslabs through MPI-IO, each on its
// own; rank 0 adds checksums, then the marker, then the name. Between these stages the ranks agree that all is well.
#include "io/checkpoint/agreement.hpp"
#include "io/checkpoint/blocks.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "io/checkpoint/contents.hpp"
#include "io/checkpoint/durable.hpp"
#include "io/checkpoint/state_list.hpp"
#include "kernels/error.hpp"
#include "parallel/mpi_handle.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <random>

namespace gpas {
namespace {

using std::filesystem::path;

// For headers, padding to pages and HDF5's own structures.
constexpr std::int64_t overhead_bytes = std::int64_t(1) << 20;
constexpr std::int64_t overhead_bytes_per_tensor = std::int64_t(8) << 10;

std::int64_t needed_bytes(const StateList& list, const CheckpointHeader& header) {
    std::int64_t bytes = overhead_bytes + std::int64_t(header.config.size());
    for (const TensorInfo& tensor : list.tensors)
        bytes += element_count(tensor.shape) * std::int64_t(sizeof(float)) + overhead_bytes_per_tensor;
    return bytes + list.first_block.back() * std::int64_t(sizeof(std::uint64_t));
}

void check_header(const CheckpointHeader& header) {
    const auto check_text = [](const std::string& name, const auto& value) {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>)
            require(value.find('\0') == std::string::npos, "checkpoint: {} holds a NUL byte", name);
    };
    for_each_field(header, check_text);
    for (const auto& [key, value] : header.extra) check_text(key, value);
}

// A process that was killed left its temporary file; one that still writes (an orphan of a requeued job) loses it and
// cannot finish.
void remove_leftovers(const path& directory) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with(".step_") && name.find(".h5.tmp.") != std::string::npos)
            std::filesystem::remove(entry.path());
    }
}

// Rank 0's sums are complete afterwards. Every element must have been seen once.
void add_over_ranks(Communicator& group, std::vector<std::uint64_t>& sums, std::vector<std::uint64_t>& seen) {
    if (group.size() == 1) return;
    constexpr std::size_t chunk = std::size_t(1) << 24;
    for (std::vector<std::uint64_t>* values : {&sums, &seen})
        for (std::size_t i = 0; i < values->size(); i += chunk)
            check_mpi(MPI_Allreduce(MPI_IN_PLACE, values->data() + i, int(std::min(chunk, values->size() - i)),
                                    MPI_UINT64_T, MPI_SUM, mpi_handle(group)),
                      "MPI_Allreduce", "checkpoint checksums");
}

void check_covered(const StateList& list, std::span<const std::uint64_t> seen) {
    for (std::size_t t = 0; t < list.tensors.size(); ++t) {
        std::int64_t left = element_count(list.tensors[t].shape);
        for (std::int64_t block = list.first_block[t]; block < list.first_block[t + 1]; ++block) {
            const std::int64_t expected = std::min(left, block_elements);
            require(std::int64_t(seen[std::size_t(block)]) == expected,
                    "checkpoint: {}: the ranks hold {} elements of a block of {}; together they must hold each once",
                    list.tensors[t].name, seen[std::size_t(block)], expected);
            left -= expected;
        }
    }
}

class Saver {
public:
    Saver(Communicator& group, const path& directory, const CheckpointHeader& header,
          std::span<const StateTensor> parts, const CheckpointOptions& options)
        : group_(group), directory_(directory), header_(header), parts_(parts), options_(options) {}

    path run() {
        together(group_, "checkpoint", [&] {
            list_ = make_state_list(parts_);
            check_header(header_);
        });
        check_same_list(group_, list_);
        sum_blocks();
        name_file();
        together(group_, "creating the checkpoint", [&] { create(); });
        together(group_, "writing the checkpoint", [&] {
            observe(SavePoint::writing);
            check_writable(file_);
        });
        write_data();
        together(group_, "finishing the checkpoint", [&] { finish(); });
        // Only now that no rank has anything to object does the file get its name.
        together(group_, "renaming the checkpoint", [&] { publish(); });
        return target_;
    }

private:
    bool leads() const { return group_.rank() == 0; }
    void observe(SavePoint point) const {
        if (options_.observe) options_.observe(point);
    }

    void sum_blocks() {
        const std::size_t blocks = std::size_t(list_.first_block.back());
        std::vector<std::uint64_t> seen;
        together(group_, "checkpoint checksums", [&] {
            sums_.assign(blocks, 0);
            seen.assign(blocks, 0);
            for (std::size_t i = 0; i < parts_.size(); ++i) {
                if (is_empty(parts_[i])) continue;
                const std::size_t t = list_.tensor_of[i];
                const std::size_t first = std::size_t(list_.first_block[t]);
                const std::size_t count = std::size_t(list_.first_block[t + 1]) - first;
                add_to_block_sums(std::span(sums_).subspan(first, count), std::span(seen).subspan(first, count),
                                  parts_[i].global_shape, parts_[i].start, parts_[i].count, parts_[i].data);
            }
        });
        add_over_ranks(group_, sums_, seen);
        check_covered(list_, seen);  // the same on every rank
    }

    // A name of its own for every attempt, so that two writers never write one file.
    void name_file() {
        std::uint64_t token = 0;
        if (leads()) token = std::uint64_t(std::random_device{}()) << 32 | std::random_device{}();
        group_.broadcast(&token, sizeof token, 0, "checkpoint name");
        std::int64_t step = header_.step;
        group_.broadcast(&step, sizeof step, 0, "checkpoint step");
        target_ = directory_ / checkpoint_file_name(step);
        file_ = directory_ / fmt::format(".{}.tmp.{:016x}", checkpoint_file_name(step), token);
    }

    void create() {
        observe(SavePoint::creating);
        if (!leads()) return;
        std::filesystem::create_directories(directory_);
        remove_leftovers(directory_);
        check_free_space(directory_, needed_bytes(list_, header_));
        temporary_ = TemporaryFile(file_);
        h5::Handle file = h5::create_file(file_);
        const h5::At at{file_, "creating datasets", ExitCode::environment};
        write_header(file, header_, file_);
        h5::Handle group;
        std::string group_name;
        for (const TensorInfo& tensor : list_.tensors) {
            const std::size_t slash = tensor.name.find('/');
            if (tensor.name.substr(0, slash) != group_name) {
                group_name = tensor.name.substr(0, slash);
                group = h5::create_group(file, group_name, at);
            }
            h5::create_dataset(group, tensor.name.substr(slash + 1), H5T_IEEE_F32LE, tensor.shape, at);
        }
        file.close(at);
    }

    // Opening, flushing and closing a file of MPI-IO are collective: every rank reaches them, whatever went wrong.
    void write_data() {
        h5::Handle file;
        together(group_, "opening the checkpoint", [&] { file = h5::open_write(file_, &group_); });
        together(group_, "writing the checkpoint", [&] {
            for (const StateTensor& part : parts_) write_part(file, part);
        });
        const h5::At at{file_, "flushing", ExitCode::environment};
        together(group_, "flushing the checkpoint", [&] { h5::check(H5Fflush(file, H5F_SCOPE_GLOBAL), at); });
        together(group_, "closing the checkpoint", [&] { file.close(at); });
    }

    void write_part(hid_t file, const StateTensor& part) const {
        if (is_empty(part)) return;
        const std::string what = fmt::format("writing dataset {}", part.name);
        const h5::At at{file_, what, ExitCode::environment};
        h5::Handle dataset(H5Dopen2(file, part.name.c_str(), H5P_DEFAULT), H5Dclose, at);
        h5::write_slab(dataset, part.start, part.count, part.data, options_.piece_bytes, at);
    }

    void finish() {
        observe(SavePoint::checksums);
        if (!leads()) return;
        const h5::At at{file_, "writing checksums", ExitCode::environment};
        h5::Handle file = h5::open_write(file_, nullptr);
        h5::Handle group = h5::create_group(file, "checksums", at);
        const std::int64_t blocks = std::int64_t(sums_.size());
        h5::Handle dataset = h5::create_dataset(group, "blocks", H5T_STD_U64LE, {&blocks, 1}, at);
        h5::check(H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, sums_.data()), at);
        h5::check(H5Fflush(file, H5F_SCOPE_GLOBAL), at);
        observe(SavePoint::marker);
        h5::write_attribute(file, marker_attribute, digest(header_, list_.tensors, sums_), at);
        dataset.close(at);
        group.close(at);
        file.close(at);
    }

    void publish() {
        if (!leads()) return;
        observe(SavePoint::renaming);
        temporary_.rename_to(target_);
        observe(SavePoint::done);
    }

    Communicator& group_;
    const path& directory_;
    const CheckpointHeader& header_;
    std::span<const StateTensor> parts_;
    const CheckpointOptions& options_;
    StateList list_;
    std::vector<std::uint64_t> sums_;
    path target_;
    path file_;
    TemporaryFile temporary_;  // rank 0 only
};

}  // namespace

path save_checkpoint(Communicator& group, const path& directory, const CheckpointHeader& header,
                     std::span<const StateTensor> tensors, const CheckpointOptions& options) {
    return Saver(group, directory, header, tensors, options).run();
}

}  // namespace gpas
