// The contents of a SentencePiece .model file: its pieces, and the settings that determine how text becomes pieces. The
// SentencePiece library does not give access to all of these settings. Format: a protobuf message,
// sentencepiece_model.proto of github.com/google/sentencepiece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

enum class PieceKind { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
enum class PieceModel { unigram = 1, bpe = 2, word = 3, character = 4 };

struct SentencePiece {
    std::string text;  // "▁the", "<0x0A>"
    float score = 0.0F;
    PieceKind kind = PieceKind::normal;
    std::size_t score_at = 0;  // position of the score (fp32, little-endian) in the file, in bytes; 0: not stored
};

struct SentencePieceModel {
    PieceModel model = PieceModel::unigram;
    std::vector<SentencePiece> pieces;  // indexed by id
    std::string charsmap;               // compiled normalisation rules; empty: text is not normalised
    std::string rules;                  // name of the normalisation rules: "nmt_nfkc", "identity"
    bool add_dummy_prefix = true;
    bool remove_extra_whitespaces = true;
    bool escape_whitespaces = true;
    bool whitespace_as_suffix = false;
};

// Parses the bytes of a .model file that the SentencePiece library has already loaded. Error(bad_file) if the bytes are
// not such a message; `name` is the file's name for this error.
SentencePieceModel parse_sentencepiece_model(const std::string& bytes, const std::string& name);

// Rounds the scores of a unigram model, in the bytes of its .model file, to multiples of 1/64. SentencePiece adds
// scores in fp32, other programs in fp64. Sums of rounded scores are exact in both (below 2^18). So two splits with the
// same probability have exactly the same sum, and every program chooses the same split.
void round_unigram_scores(std::string& bytes);

}  // namespace gpas
