// Every rank reads its own hyperslabs. A rank verifies the blocks that are completely in its memory. The remaining
// blocks (of tensors that are split within rows) are read a second time, each by one rank.
#include "base/error.hpp"
#include "base/error_of.hpp"
#include "io/checkpoint/blocks.hpp"
#include "io/checkpoint/contents.hpp"
#include "io/checkpoint/state_list.hpp"
#include "parallel/agree.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace gpas {
namespace {

using std::filesystem::path;

constexpr std::size_t most_named = 8;  // differences listed in one message

std::string group_of(const std::string& name) { return name.substr(0, name.find('/')); }

void check_same_tensors(const path& file, const Contents& contents, const StateList& list) {
    std::map<std::string, const TensorInfo*> stored;
    std::set<std::string> groups;
    for (const TensorInfo& tensor : list.tensors) groups.insert(group_of(tensor.name));
    for (const TensorInfo& tensor : contents.tensors)
        if (groups.contains(group_of(tensor.name))) stored.emplace(tensor.name, &tensor);
    std::vector<std::string> differences;
    for (const TensorInfo& tensor : list.tensors) {
        const auto found = stored.find(tensor.name);
        if (found == stored.end()) {
            differences.push_back(fmt::format("{} is missing", tensor.name));
        } else {
            if (found->second->shape != tensor.shape)
                differences.push_back(fmt::format("{} is {}, the model has {}", tensor.name,
                                                  shape_text(found->second->shape), shape_text(tensor.shape)));
            stored.erase(found);
        }
    }
    for (const auto& [name, tensor] : stored) differences.push_back(fmt::format("{} is not in the model", name));
    if (differences.empty()) return;
    std::string text;
    for (std::size_t i = 0; i < std::min(differences.size(), most_named); ++i) text += (i ? "; " : "") + differences[i];
    if (differences.size() > most_named) text += fmt::format("; and {} more", differences.size() - most_named);
    fail(ExitCode::bad_file, "{}: does not fit the model: {}", file.string(), text);
}

[[noreturn]] void fail_block(const path& file, const std::string& name, std::int64_t block) {
    fail(ExitCode::bad_file, "{}: dataset {}: data damaged (block {} does not match its checksum)", file.string(), name,
         block);
}

// For each requested tensor, its index among the file's tensors.
std::size_t find_tensor(const Contents& contents, const std::string& name) {
    const auto found = std::ranges::lower_bound(contents.tensors, name, {}, &TensorInfo::name);
    return std::size_t(found - contents.tensors.begin());
}

// Verifies the blocks that are completely in this rank's slab, and marks them in `verified`, which has an entry per
// block of the file.
void verify_in_memory(const path& file, const Contents& contents, std::size_t tensor, const StateTensor& part,
                      std::vector<std::int64_t>& verified) {
    const std::int64_t elements = element_count(part.global_shape), first_block = contents.first_block[tensor];
    for_each_run(part.global_shape, part.start, part.count,
                 [&](std::int64_t flat, std::int64_t offset, std::int64_t n) {
                     for (std::int64_t block = block_count(flat); block * block_elements < flat + n; ++block) {
                         const std::int64_t begin = block * block_elements;
                         const std::int64_t size = std::min(block_elements, elements - begin);
                         if (begin + size > flat + n) break;
                         if (block_sum(0, part.data + offset + (begin - flat), size) !=
                             contents.block_sums[std::size_t(first_block + block)])
                             fail_block(file, part.name, block);
                         verified[std::size_t(first_block + block)] = 1;
                     }
                 });
}

// Reads elements of the row-major data, beginning with element `begin`.
void read_flat(const path& file, hid_t dataset, const TensorInfo& tensor, std::int64_t begin, std::span<float> values) {
    const std::string what = fmt::format("dataset {}", tensor.name);
    const StateTensor whole{tensor.name, tensor.shape, std::vector<std::int64_t>(tensor.shape.size(), 0), tensor.shape,
                            nullptr};
    float* to = values.data();
    for (const StateTensor& part : split_range(whole, begin, begin + std::int64_t(values.size()))) {
        h5::read_slab(dataset, part.start, part.count, to, std::int64_t(values.size_bytes()), {file, what});
        to += element_count(part.count);
    }
}

// Reads the blocks of one tensor for which wanted(block) is true, and calls broken(block) for each damaged block.
template <class Wanted, class Broken>
void verify_on_disk(const path& file, const Contents& contents, std::size_t t, std::vector<float>& buffer,
                    Wanted&& wanted, Broken&& broken) {
    const TensorInfo& tensor = contents.tensors[t];
    const std::int64_t elements = element_count(tensor.shape), first = contents.first_block[t];
    h5::Handle dataset;
    for (std::int64_t block = 0; block < contents.first_block[t + 1] - first; ++block) {
        if (!wanted(first + block)) continue;
        if (dataset < 0)
            dataset = h5::Handle(H5Dopen2(contents.file, tensor.name.c_str(), H5P_DEFAULT), H5Dclose,
                                 {file, fmt::format("dataset {}", tensor.name)});
        const std::int64_t begin = block * block_elements, size = std::min(block_elements, elements - begin);
        buffer.resize(std::size_t(size));
        read_flat(file, dataset, tensor, begin, buffer);
        if (block_sum(0, buffer.data(), size) != contents.block_sums[std::size_t(first + block)]) broken(block);
    }
}

}  // namespace

CheckpointHeader load_checkpoint(Communicator& group, const path& file, std::span<const StateTensor> tensors,
                                 const CheckpointOptions& options) {
    Contents contents;
    StateList list;
    agree(
        group,
        [&] {
            list = make_state_list(tensors);
            contents = open_contents(file);
            check_same_tensors(file, contents, list);
        },
        "opening the checkpoint");
    check_same_list(group, list);
    std::vector<std::int64_t> verified(std::size_t(contents.first_block.back()), 0);
    const auto read = [&] {
        for (const StateTensor& part : tensors) {
            if (is_empty(part)) continue;
            const std::string what = fmt::format("dataset {}", part.name);
            const h5::At at{file, what};
            h5::Handle dataset(H5Dopen2(contents.file, part.name.c_str(), H5P_DEFAULT), H5Dclose, at);
            h5::read_slab(dataset, part.start, part.count, part.data, options.piece_bytes, at);
            verify_in_memory(file, contents, find_tensor(contents, part.name), part, verified);
        }
    };
    agree(group, [&] { while_there(file, read); }, "reading the checkpoint");
    group.all_reduce(verified.data(), std::int64_t(verified.size()), ReduceOp::max, "verified blocks");
    const auto verify_rest = [&] {
        std::vector<float> buffer;
        std::int64_t turn = 0;
        const auto wanted = [&](std::int64_t block) {
            return !verified[std::size_t(block)] && turn++ % group.size() == group.rank();
        };
        for (const TensorInfo& tensor : list.tensors)
            verify_on_disk(file, contents, find_tensor(contents, tensor.name), buffer, wanted,
                           [&](std::int64_t block) { fail_block(file, tensor.name, block); });
    };
    agree(group, [&] { while_there(file, verify_rest); }, "verifying the checkpoint");
    return contents.header;
}

CheckpointHeader read_header(const path& file) { return open_contents(file).header; }

std::vector<TensorInfo> list_tensors(const path& file) { return open_contents(file).tensors; }

std::vector<float> read_whole(const Contents& contents, const path& file, std::size_t t) {
    const auto& [name, shape] = contents.tensors[t];
    std::vector<float> values(std::size_t(element_count(shape)), 0.0f);
    const StateTensor whole{name, shape, std::vector<std::int64_t>(shape.size(), 0), shape, values.data()};
    const std::string what = fmt::format("dataset {}", name);
    const h5::At at{file, what};
    h5::Handle dataset(H5Dopen2(contents.file, name.c_str(), H5P_DEFAULT), H5Dclose, at);
    h5::read_slab(dataset, whole.start, whole.count, whole.data, CheckpointOptions{}.piece_bytes, at);
    std::vector<std::int64_t> verified(contents.block_sums.size(), 0);
    verify_in_memory(file, contents, t, whole, verified);
    return values;
}

CheckpointFile::CheckpointFile(const path& file)
    : path_(file), contents_(std::make_unique<Contents>(open_contents(file))) {}
CheckpointFile::~CheckpointFile() = default;
const CheckpointHeader& CheckpointFile::header() const { return contents_->header; }
const std::vector<TensorInfo>& CheckpointFile::tensors() const { return contents_->tensors; }

std::vector<float> CheckpointFile::read(const std::string& name) const {
    const std::size_t t = find_tensor(*contents_, name);
    if (t == contents_->tensors.size() || contents_->tensors[t].name != name)
        fail(ExitCode::bad_file, "{}: {} is missing", path_.string(), name);
    return while_there(path_, [&] { return read_whole(*contents_, path_, t); });
}

std::vector<float> read_tensor(const path& file, const std::string& name) { return CheckpointFile(file).read(name); }

VerifyReport verify(const path& file) {
    VerifyReport report;
    try {
        const Contents contents = open_contents(file);
        std::vector<float> buffer;
        for (std::size_t t = 0; t < contents.tensors.size(); ++t) {
            try {
                verify_on_disk(
                    file, contents, t, buffer, [](std::int64_t) { return true; },
                    [&](std::int64_t block) {
                        report.problems.push_back(fmt::format("{}: dataset {}: block {} does not match its checksum",
                                                              file.string(), contents.tensors[t].name, block));
                    });
            } catch (const Error& error) {
                if (error.code() != ExitCode::bad_file) throw;
                report.problems.push_back(error.what());
            }
            ++report.tensors;
            report.data_bytes += element_count(contents.tensors[t].shape) * std::int64_t(sizeof(float));
        }
        report.blocks = contents.first_block.back();
    } catch (const std::exception& thrown) {
        const Error error = error_of(thrown);
        if (error.code() != ExitCode::bad_file) throw Error(error);  // the machine is at fault, not the file
        report.problems.push_back(error.what());
    }
    return report;
}

}  // namespace gpas
