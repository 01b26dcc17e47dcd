#include "io/data/sentencepiece_model.hpp"

#include "base/error.hpp"

#include <cmath>
#include <cstring>
#include <string_view>

namespace gpas {
namespace {

// One field of a protobuf message. https://protobuf.dev/programming-guides/encoding
struct Field {
    std::uint64_t number = 0;
    std::uint64_t value = 0;  // of a varint
    std::string_view bytes;   // of a string, a message or a fixed-size number
};

class ProtobufMessage {
public:
    ProtobufMessage(std::string_view bytes, const std::string& name) : rest_(bytes), name_(name) {}

    bool next(Field& field) {
        if (rest_.empty()) return false;
        const std::uint64_t key = varint();
        field = {.number = key >> 3};
        switch (key & 7) {
            case 0: field.value = varint(); return true;
            case 1: field.bytes = take(8); return true;
            case 2: field.bytes = take(varint()); return true;
            case 5: field.bytes = take(4); return true;
            default: damaged();
        }
    }

private:
    [[noreturn]] void damaged() const {
        fail(ExitCode::bad_file, "{}: is not a SentencePiece model, or it is damaged", name_);
    }
    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const std::uint64_t byte = std::uint8_t(take(1).front());
            value |= (byte & 0x7f) << shift;
            if (byte < 0x80) return value;
        }
        damaged();
    }
    std::string_view take(std::uint64_t count) {
        if (count > rest_.size()) damaged();
        const std::string_view taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return taken;
    }

    std::string_view rest_;
    const std::string& name_;
};

SentencePiece piece_of(std::string_view bytes, const std::string& file, const std::string& name) {
    SentencePiece piece;
    ProtobufMessage message(bytes, name);
    for (Field field; message.next(field);) {
        if (field.number == 1) piece.text = field.bytes;
        if (field.number == 2 && field.bytes.size() == sizeof(float)) {
            std::memcpy(&piece.score, field.bytes.data(), sizeof(float));
            piece.score_at = std::size_t(field.bytes.data() - file.data());
        }
        if (field.number == 3) piece.kind = PieceKind(field.value);
    }
    return piece;
}

void read_training(std::string_view bytes, const std::string& name, SentencePieceModel& model) {
    ProtobufMessage message(bytes, name);
    for (Field field; message.next(field);) {
        if (field.number == 3) model.model = PieceModel(field.value);
        if (field.number == 24) model.whitespace_as_suffix = field.value != 0;
    }
}

void read_normalization(std::string_view bytes, const std::string& name, SentencePieceModel& model) {
    ProtobufMessage message(bytes, name);
    for (Field field; message.next(field);) {
        if (field.number == 1) model.rules = field.bytes;
        if (field.number == 2) model.charsmap = field.bytes;
        if (field.number == 3) model.add_dummy_prefix = field.value != 0;
        if (field.number == 4) model.remove_extra_whitespaces = field.value != 0;
        if (field.number == 5) model.escape_whitespaces = field.value != 0;
    }
}

}  // namespace

SentencePieceModel parse_sentencepiece_model(const std::string& bytes, const std::string& name) {
    SentencePieceModel model;
    ProtobufMessage message(bytes, name);
    for (Field field; message.next(field);) {
        if (field.number == 1) model.pieces.push_back(piece_of(field.bytes, bytes, name));
        if (field.number == 2) read_training(field.bytes, name, model);
        if (field.number == 3) read_normalization(field.bytes, name, model);
    }
    return model;
}

void round_unigram_scores(std::string& bytes) {
    constexpr float steps = 64.0F;
    const SentencePieceModel model = parse_sentencepiece_model(bytes, "the trained tokenizer");
    for (const SentencePiece& piece : model.pieces) {
        if (piece.score_at == 0) continue;
        const float rounded = std::nearbyint(piece.score * steps) / steps;
        std::memcpy(bytes.data() + piece.score_at, &rounded, sizeof(float));
    }
}

}  // namespace gpas
