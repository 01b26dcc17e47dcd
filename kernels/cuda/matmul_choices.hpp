// The algorithms that products were given, in a text file: one line a product, appended as they are chosen.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace gpas::cuda {

// What a product is, as far as an algorithm may depend on it.
struct MatmulKey {
    std::array<std::int64_t, 4> sizes{};       // rows and columns of both operands
    std::array<std::int64_t, 5> kinds{};       // dtypes in and out, transposed a and b, accumulating
    std::array<std::int64_t, 3> alignments{};  // of the addresses of a, b and the result, bytes
    auto operator<=>(const MatmulKey&) const = default;
};

using MatmulChoice = std::array<std::uint64_t, 8>;  // cuBLASLt's description, opaque

class MatmulChoices {
public:
    // machine: the GPU and the library, in one line. A file of another machine, or none of ours, is begun anew when the
    // first choice is added. file empty: nothing is kept.
    MatmulChoices(std::string file, std::string machine);

    std::optional<MatmulChoice> find(const MatmulKey& key) const;
    // Errors of writing are ignored: the choice is then made again by the next run.
    void add(const MatmulKey& key, const MatmulChoice& choice);

private:
    std::string head() const;
    bool load();

    std::string file_, machine_;
    bool begun_ = false;  // the file has our head
    std::map<MatmulKey, MatmulChoice> choices_;
};

}  // namespace gpas::cuda
