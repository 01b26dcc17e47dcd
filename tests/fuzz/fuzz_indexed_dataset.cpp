// Any bytes as the .idx of a token file: opened, and then every document can be read; or refused with one line.
#include "base/error.hpp"
#include "io/data/indexed_dataset.hpp"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::string prefix = "/dev/shm/gpas-fuzz-" + std::to_string(::getpid());
    if (size < 2) return 0;
    const std::size_t bin = std::size_t(data[0]) + 256 * (data[1] % 4);
    std::ofstream(prefix + ".bin", std::ios::binary) << std::string(bin, '\3');
    std::ofstream(prefix + ".idx", std::ios::binary)
        .write(reinterpret_cast<const char*>(data + 2), std::streamsize(size - 2));
    try {
        const gpas::IndexedDataset dataset(prefix);
        std::vector<std::int32_t> tokens;
        for (std::int64_t k = 0; k < dataset.documents(); ++k) {
            const std::int64_t begin = dataset.document_begin(k), end = dataset.document_begin(k + 1);
            if (begin > end || begin < 0 || end > dataset.tokens()) std::abort();
            tokens.resize(std::size_t(end - begin));
            dataset.read(begin, end - begin, tokens.data());
            if (end > begin && dataset.document_of(begin) < 0) std::abort();
        }
        dataset.fingerprint();
    } catch (const gpas::Error& error) {
        if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
    }
    return 0;
}
