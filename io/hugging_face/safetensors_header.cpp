#include "io/hugging_face/safetensors_header.hpp"

#include "base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <tuple>

namespace gpas {
namespace {

constexpr std::size_t most_dimensions = 8;
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();

std::optional<std::int64_t> bytes_of_dtype(const std::string& dtype) {
    static const std::map<std::string, std::int64_t> bytes{
        {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
        {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},     {"U32", 4},
        {"F32", 4},  {"C64", 8}, {"F64", 8}, {"I64", 8},     {"U64", 8}};
    const auto found = bytes.find(dtype);
    if (found == bytes.end()) return std::nullopt;
    return found->second;
}

// A text from a file in a form that is safe to print: it may contain any bytes.
std::string printable(const std::string& text) {
    std::string shown = text.substr(0, 120);
    for (char& c : shown)
        if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
    return "\"" + shown + "\"";
}

// Accepts {"name": {"dtype": text, "shape": [sizes], "data_offsets": [begin, end]}, "__metadata__": {text: text}} and
// nothing else. Checks the text during parsing, and stops at the first error.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
public:
    SafetensorsHeader header;
    std::string problem;

    bool null() override { return refuse("null"); }
    bool boolean(bool) override { return refuse("a boolean"); }
    bool number_float(double, const std::string& text) override { return refuse(printable(text)); }
    bool binary(nlohmann::json::binary_t&) override { return refuse("binary data"); }
    bool number_integer(std::int64_t value) override { return refuse(std::to_string(value)); }
    bool number_unsigned(std::uint64_t value) override {
        if (place_ != Place::numbers || value > std::uint64_t(largest)) return refuse(std::to_string(value));
        numbers_->push_back(std::int64_t(value));
        if (numbers_->size() <= most_dimensions) return true;
        return refuse(fmt::format("more than {} numbers", most_dimensions));
    }
    bool string(std::string& text) override {
        if (place_ == Place::metadata) {
            if (header.metadata.emplace(key_, text).second) return true;
            return refuse("the key " + printable(key_) + " twice");
        }
        if (place_ != Place::tensor || key_ != "dtype") return refuse(printable(text));
        entry_.dtype = text;
        return true;
    }
    bool start_object(std::size_t) override {
        switch (place_) {
            case Place::start: place_ = Place::file; return true;
            case Place::file:
                place_ = key_ == "__metadata__" ? Place::metadata : Place::tensor;
                keys_.clear();
                entry_ = {.name = key_};
                offsets_.clear();
                return true;
            default: return refuse("an object");
        }
    }
    bool end_object() override {
        if (place_ == Place::tensor && !take_entry()) return false;
        place_ = place_ == Place::file ? Place::end : Place::file;
        return true;
    }
    bool start_array(std::size_t) override {
        if (place_ != Place::tensor || key_ == "dtype") return refuse("a list");
        numbers_ = key_ == "shape" ? &entry_.shape : &offsets_;
        place_ = Place::numbers;
        return true;
    }
    bool end_array() override {
        place_ = Place::tensor;
        return true;
    }
    bool key(std::string& text) override {
        key_ = text;
        if (place_ == Place::file && !names_.insert(text).second)
            return refuse("the tensor " + printable(text) + " twice");
        if (place_ != Place::tensor) return true;
        const bool known = text == "dtype" || text == "shape" || text == "data_offsets";
        if (!known || !keys_.insert(text).second) return refuse("the key " + printable(text) + (known ? " twice" : ""));
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
        if (problem.empty()) problem = fmt::format("the header is not JSON (byte {})", position);
        return false;
    }

private:
    enum class Place { start, file, metadata, tensor, numbers, end };

    bool refuse(const std::string& found) {
        const bool in_tensor = place_ == Place::tensor || place_ == Place::numbers;
        problem = fmt::format("{}: found {}, which the format does not allow there",
                              in_tensor               ? "tensor " + printable(entry_.name)
                              : place_ == Place::file ? "entry " + printable(key_)
                                                      : std::string("the header"),
                              found);
        return false;
    }
    bool take_entry() {
        if (keys_.size() != 3)
            return refuse("only " + std::to_string(keys_.size()) + " of dtype, shape and data_offsets");
        if (offsets_.size() != 2) return refuse(std::to_string(offsets_.size()) + " data_offsets instead of two");
        entry_.begin = offsets_[0];
        entry_.end = offsets_[1];
        header.entries.push_back(std::move(entry_));
        return true;
    }

    Place place_ = Place::start;
    std::string key_;
    std::set<std::string> names_, keys_;
    SafetensorsEntry entry_;
    std::vector<std::int64_t> offsets_;
    std::vector<std::int64_t>* numbers_ = nullptr;
};

void check_size(const SafetensorsEntry& entry, const std::string& file) {
    const auto bytes = bytes_of_dtype(entry.dtype);
    if (!bytes)
        fail(ExitCode::bad_file, "{}: tensor {}: the dtype {} is unknown", file, printable(entry.name),
             printable(entry.dtype));
    std::int64_t expected = *bytes;
    for (const std::int64_t size : entry.shape)
        if (__builtin_mul_overflow(expected, size, &expected))
            fail(ExitCode::bad_file, "{}: tensor {}: its shape has too many elements", file, printable(entry.name));
    if (entry.begin > entry.end || entry.end - entry.begin != expected)
        fail(ExitCode::bad_file, "{}: tensor {}: dtype and shape take {} bytes, data_offsets are {} to {}", file,
             printable(entry.name), expected, entry.begin, entry.end);
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, std::int64_t data_bytes, const std::string& file) {
    HeaderReader reader;
    if (json.empty() || json.front() != '{') fail(ExitCode::bad_file, "{}: the header does not begin with {{", file);
    if (!nlohmann::json::sax_parse(json.begin(), json.end(), &reader))
        fail(ExitCode::bad_file, "{}: {}", file, reader.problem.empty() ? "the header is damaged" : reader.problem);
    SafetensorsHeader header = std::move(reader.header);
    std::ranges::sort(header.entries, [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
        return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    std::int64_t next = 0;
    for (const SafetensorsEntry& entry : header.entries) {
        check_size(entry, file);
        if (entry.begin != next)
            fail(ExitCode::bad_file, "{}: tensor {}: its data begin at byte {}, expected byte {}: the data {}", file,
                 printable(entry.name), entry.begin, next,
                 entry.begin < next ? "overlap those of another tensor" : "leave a gap before them");
        next = entry.end;
    }
    if (next != data_bytes)
        fail(ExitCode::bad_file, "{}: the header describes {} bytes of data, the file has {}", file, next, data_bytes);
    return header;
}

}  // namespace gpas
