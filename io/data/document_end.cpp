#include "io/data/document_end.hpp"

#include <algorithm>
#include <vector>

namespace gpas {

std::optional<std::int32_t> end_of_document_token(const IndexedDataset& file) {
    constexpr std::int64_t most_documents = 256, most_tokens = 4096;
    const std::int64_t looked_at = std::min(file.documents(), most_documents);
    std::optional<std::int32_t> end;
    std::int64_t ended = 0;
    std::vector<std::int32_t> text;
    for (std::int64_t i = 0; i < looked_at; ++i) {
        const auto document = std::int64_t(double(i) * double(file.documents()) / double(looked_at));
        const std::int64_t first = file.document_begin(document), behind = file.document_begin(document + 1);
        if (first == behind) continue;
        std::int32_t last = 0;
        file.read(behind - 1, 1, &last);
        if (end && *end != last) return std::nullopt;
        end = last;
        ++ended;
        text.resize(std::size_t(std::min(behind - 1 - first, most_tokens)));
        file.read(first, std::int64_t(text.size()), text.data());
        if (std::find(text.begin(), text.end(), last) != text.end()) return std::nullopt;
    }
    return ended >= 2 ? end : std::nullopt;
}

}  // namespace gpas
