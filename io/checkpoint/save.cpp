// The stages of a save: rank 0 creates the file's structure with HDF5 and closes it. Every rank writes its hyperslabs
// to their positions in the file, with plain write calls. Rank 0 adds checksums, then the marker, and then renames the
// file. Between these stages the ranks agree that no rank has failed.
//
// Plain writes need no MPI, so a thread can do them while training communicates. They are possible because datasets are
// contiguous and allocated immediately, so HDF5 reports their positions. MPI-IO is not faster
// (docs/results/checkpoints.md).
#include "base/durable.hpp"
#include "base/error.hpp"
#include "base/error_of.hpp"
#include "base/masked_signals.hpp"
#include "io/checkpoint/blocks.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "io/checkpoint/contents.hpp"
#include "io/checkpoint/memory_file.hpp"
#include "io/checkpoint/part_writer.hpp"
#include "io/checkpoint/seal.hpp"
#include "io/checkpoint/state_list.hpp"
#include "parallel/agree.hpp"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <type_traits>

namespace gpas {
namespace {

using std::filesystem::path;

// Space for headers, padding to pages and HDF5's own structures.
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

// values = their sums over all ranks, modulo 2^64. Halves of 32 bits are summed separately, because a communicator adds
// signed 64-bit integers, which must not overflow.
void add_over_ranks(Communicator& group, std::vector<std::uint64_t>& values) {
    if (group.size() == 1) return;
    std::vector<std::int64_t> halves;
    halves.reserve(2 * values.size());
    for (const std::uint64_t value : values) {
        halves.push_back(std::int64_t(value >> 32));
        halves.push_back(std::int64_t(value & 0xffffffffu));
    }
    group.all_reduce(halves.data(), std::int64_t(halves.size()), ReduceOp::sum, "checkpoint checksums");
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = (std::uint64_t(halves[2 * i]) << 32) + std::uint64_t(halves[2 * i + 1]);
}

// Checks that the ranks have written every element exactly once.
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

}  // namespace

class CheckpointSave::Impl {
public:
    Impl(Communicator& group, path directory, CheckpointHeader header, std::vector<StateTensor> parts, By by,
         CheckpointOptions options)
        : group_(group),
          directory_(std::move(directory)),
          header_(std::move(header)),
          parts_(std::move(parts)),
          by_(by),
          options_(std::move(options)) {
        agree(
            group_,
            [&] {
                list_ = make_state_list(parts_);
                check_header(header_);
            },
            "checkpoint");
        check_same_list(group_, list_);
        name_file();
        agree(group_, [&] { create(); }, "creating the checkpoint");
        group_.broadcast(data_bytes_.data(), std::int64_t(data_bytes_.size() * sizeof(std::int64_t)), 0,
                         "places of tensors in the checkpoint");
        if (by_ == By::thread) start_thread();
    }
    ~Impl() {
        cancelled_ = true;
        if (thread_.joinable()) thread_.join();
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    bool written() const { return written_; }

    path finish() {
        if (by_ == By::thread) wait_for_all();
        agree(
            group_,
            [&] {
                if (by_ == By::caller) write();
                if (error_) throw Error(*error_);
            },
            "writing the checkpoint");
        add_over_ranks(group_, sums_.sums);
        add_over_ranks(group_, sums_.seen);
        check_covered(list_, sums_.seen);  // same result on every rank
        agree(group_, [&] { add_checksums(); }, "finishing the checkpoint");
        // The file gets its name only after no rank has reported an error.
        agree(group_, [&] { publish(); }, "renaming the checkpoint");
        return target_;
    }

private:
    // While ranks write, they exchange messages, so that a slow disk does not look like a lost rank. If a rank has
    // failed, all ranks stop writing.
    void wait_for_all() {
        for (auto pause = std::chrono::milliseconds(1);; pause = std::min(2 * pause, std::chrono::milliseconds(50))) {
            const bool written = written_;
            std::int64_t all[2] = {written, !(written && error_)};
            group_.all_reduce(all, 2, ReduceOp::min, "whether the checkpoint is written");
            if (!all[1]) cancelled_ = true;
            if (all[0]) break;
            std::this_thread::sleep_for(pause);
        }
        if (thread_.joinable()) thread_.join();
    }

    bool leads() const { return group_.rank() == 0; }
    void observe(SavePoint point) const {
        if (options_.observe) options_.observe(point);
    }

    // Every attempt has a unique name, so that two processes never write to the same file.
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
        data_bytes_.assign(list_.tensors.size(), 0);
        if (!leads()) return;
        std::filesystem::create_directories(directory_);
        remove_leftovers(directory_);
        check_free_space(directory_, needed_bytes(list_, header_), "the checkpoint");
        temporary_ = TemporaryFile(file_);
        const PositionedFile empty(file_, PositionedFile::Open::create);
        hdf5_ = memory_.create(file_);
        const h5::At at{file_, "creating datasets", ExitCode::environment};
        write_header(hdf5_, header_, file_);
        h5::Handle group;
        std::string group_name;
        for (std::size_t t = 0; t < list_.tensors.size(); ++t) {
            const auto& [name, shape] = list_.tensors[t];
            const std::size_t slash = name.find('/');
            if (name.substr(0, slash) != group_name) {
                group_name = name.substr(0, slash);
                group = h5::create_group(hdf5_, group_name, at);
            }
            const h5::Handle dataset = h5::create_dataset(group, name.substr(slash + 1), H5T_IEEE_F32LE, shape, at);
            data_bytes_[t] = h5::data_position(dataset, at);
        }
    }

    void write() {
        try {
            observe(SavePoint::writing);
            sums_ = write_parts(file_, list_, parts_, data_bytes_, cancelled_);
        } catch (const std::exception& error) {
            error_ = error_of(error);
        }
        written_ = true;
    }

    // The training thread must handle all signals.
    void start_thread() {
        const MaskedSignals masked;
        try {
            thread_ = std::thread([this] { write(); });
        } catch (const std::system_error& error) {
            error_ = error_of(error);
            written_ = true;
        }
    }

    void add_checksums() {
        observe(SavePoint::checksums);
        if (!leads()) return;
        const h5::At at{file_, "writing checksums", ExitCode::environment};
        {
            h5::Handle group = h5::create_group(hdf5_, "checksums", at);
            const std::int64_t blocks = std::int64_t(sums_.sums.size());
            h5::Handle dataset = h5::create_dataset(group, "blocks", H5T_STD_U64LE, {&blocks, 1}, at);
            h5::check(H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, sums_.sums.data()), at);
        }
        observe(SavePoint::marker);
        h5::write_attribute(hdf5_, marker_attribute, digest(header_, list_.tensors, sums_.sums), at);
        hdf5_.close(at);
        PositionedFile file(file_);
        memory_.write_to(file);
        std::vector<ByteRange> data;
        for (std::size_t t = 0; t < list_.tensors.size(); ++t)
            data.push_back({data_bytes_[t], element_count(list_.tensors[t].shape) * std::int64_t(sizeof(float))});
        write_seal(file, memory_.size(), std::move(data),
                   [&](std::int64_t from, void* to, std::int64_t bytes) { memory_.read(from, to, bytes); });
    }

    void publish() {
        if (!leads()) return;
        observe(SavePoint::renaming);
        temporary_.rename_to(target_);
        observe(SavePoint::done);
    }

    Communicator& group_;
    path directory_;
    CheckpointHeader header_;
    std::vector<StateTensor> parts_;
    By by_;
    CheckpointOptions options_;
    StateList list_;
    path target_;
    path file_;
    TemporaryFile temporary_;  // rank 0 only
    h5::MemoryFile memory_;    // the file without the tensors' data; rank 0 only
    h5::Handle hdf5_;
    std::vector<std::int64_t> data_bytes_;  // position of each tensor's data in the file
    BlockSums sums_;                        // of this rank; after finish() of all ranks
    std::thread thread_;
    std::optional<Error> error_;  // error of write(); read after the thread has ended
    std::atomic<bool> written_ = false;
    std::atomic<bool> cancelled_ = false;
};

CheckpointSave::CheckpointSave(Communicator& group, path directory, CheckpointHeader header,
                               std::vector<StateTensor> tensors, By by, CheckpointOptions options)
    : impl_(std::make_unique<Impl>(group, std::move(directory), std::move(header), std::move(tensors), by,
                                   std::move(options))) {}
CheckpointSave::~CheckpointSave() = default;
bool CheckpointSave::written() const { return impl_->written(); }
path CheckpointSave::finish() { return impl_->finish(); }

path save_checkpoint(Communicator& group, const path& directory, const CheckpointHeader& header,
                     std::span<const StateTensor> tensors, const CheckpointOptions& options) {
    return CheckpointSave(group, directory, header, {tensors.begin(), tensors.end()}, CheckpointSave::By::caller,
                          options)
        .finish();
}

}  // namespace gpas
