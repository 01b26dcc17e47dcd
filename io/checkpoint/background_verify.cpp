#include "io/checkpoint/background_verify.hpp"

#include "base/error.hpp"
#include "base/masked_signals.hpp"
#include "io/checkpoint/blocks.hpp"
#include "io/checkpoint/contents.hpp"

#include <signal.h>

#include <algorithm>
#include <fstream>
#include <vector>

namespace gpas {
namespace {

using std::filesystem::path;

// The positions of a file's blocks, and their checksums.
struct Blocks {
    struct Tensor {
        std::string name;
        std::int64_t at = 0;  // bytes
        std::int64_t elements = 0;
        std::int64_t first_block = 0;
    };
    std::vector<Tensor> tensors;
    std::vector<std::uint64_t> sums;
};

Blocks blocks_of(const path& file) {
    const Contents contents = open_contents(file);
    Blocks blocks{.tensors = {}, .sums = contents.block_sums};
    for (std::size_t t = 0; t < contents.tensors.size(); ++t) {
        const auto& [name, shape] = contents.tensors[t];
        const h5::At at{file, name};
        const h5::Handle dataset(H5Dopen2(contents.file, name.c_str(), H5P_DEFAULT), H5Dclose, at);
        blocks.tensors.push_back({name, h5::data_position(dataset, at), element_count(shape), contents.first_block[t]});
    }
    return blocks;
}

std::string damage_of(const path& file, const Blocks& blocks, const std::atomic<bool>& cancelled) {
    std::ifstream in(file, std::ios::binary);
    std::vector<float> values;
    for (const Blocks::Tensor& tensor : blocks.tensors)
        for (std::int64_t begin = 0; begin < tensor.elements && !cancelled; begin += block_elements) {
            values.resize(std::size_t(std::min(block_elements, tensor.elements - begin)));
            in.seekg(tensor.at + begin * std::int64_t(sizeof(float)));
            in.read(reinterpret_cast<char*>(values.data()), std::streamsize(values.size() * sizeof(float)));
            const std::int64_t block = begin / block_elements;
            if (!in) return fmt::format("{}: dataset {}: block {} cannot be read", file.string(), tensor.name, block);
            if (block_sum(0, values.data(), std::int64_t(values.size())) !=
                blocks.sums[std::size_t(tensor.first_block + block)])
                return fmt::format("{}: dataset {}: data damaged (block {} does not match its checksum)", file.string(),
                                   tensor.name, block);
        }
    return {};
}

}  // namespace

BackgroundVerify::~BackgroundVerify() {
    cancelled_ = true;
    wait();
}

void BackgroundVerify::wait() {
    if (thread_.joinable()) thread_.join();
}

std::optional<std::string> BackgroundVerify::ask(const path& file) {
    if (running()) return std::nullopt;
    wait();
    if (done_ && file == file_) return damage_;
    file_ = file;
    done_ = false;
    damage_.clear();
    Blocks blocks;
    try {
        blocks = blocks_of(file);
    } catch (const Error& error) {
        if (error.code() != ExitCode::bad_file)
            return std::nullopt;  // for example lack of memory: the file may be intact
        done_ = true;
        return damage_ = error.what();
    }
    // The training thread must handle all signals.
    const MaskedSignals masked;
    try {
        thread_ = std::thread([this, blocks = std::move(blocks)] {
            try {
                damage_ = damage_of(file_, blocks, cancelled_);
            } catch (const std::exception& error) {
                damage_ = fmt::format("{}: verifying it: {}", file_.string(), error.what());
            }
            done_ = true;
        });
    } catch (const std::system_error&) {
        // Without a thread the file cannot be verified, so it is kept.
    }
    return std::nullopt;
}

}  // namespace gpas
