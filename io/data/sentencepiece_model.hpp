// The contents of a SentencePiece .model file: its pieces and the settings that decide how text becomes pieces. The
// SentencePiece library does not give access to all of these. Format: a protobuf message, sentencepiece_model.proto of
// github.com/google/sentencepiece.
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
    std::size_t score_at = 0;  // byte of the file at which the score (fp32, little-endian) begins; 0: it is not stored
};

struct SentencePieceModel {
    PieceModel model = PieceModel::unigram;
    std::vector<SentencePiece> pieces;  // by id
    std::string charsmap;               // compiled normalisation rules; empty: text is not normalised
    std::string rules;                  // their name: "nmt_nfkc", "identity"
    bool add_dummy_prefix = true;
    bool remove_extra_whitespaces = true;
    bool escape_whitespaces = true;
    bool whitespace_as_suffix = false;
};

// bytes: of a file that the SentencePiece library has loaded. Error(bad_file) if they are not such a message; name is
// for this error.
SentencePieceModel parse_sentencepiece_model(const std::string& bytes, const std::string& name);

// Rounds the scores of a unigram model to multiples of 1/64. SentencePiece adds scores in fp32, other programs in fp64.
// Sums of rounded scores are exact in both (below 2^18), so splits of the same probability stay ties and every program
// chooses the same one.
void round_unigram_scores(std::string& bytes);

}  // namespace gpas
