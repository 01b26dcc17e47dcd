#include "base/error.hpp"
#include "data_fixtures.hpp"
#include "io/data/text_reader.hpp"

#include <bzlib.h>
#include <gtest/gtest.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <random>

namespace gpas::test {
namespace {

std::string gzipped(const std::string& text) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    std::string out(deflateBound(&stream, text.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = uInt(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = uInt(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

std::string zstd_packed(const std::string& text) {
    std::string out(ZSTD_compressBound(text.size()), '\0');
    out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
    return out;
}

std::string bzip2_packed(const std::string& text) {
    std::string out(text.size() + text.size() / 100 + 600, '\0');
    unsigned bytes = unsigned(out.size());
    EXPECT_EQ(
        BZ2_bzBuffToBuffCompress(out.data(), &bytes, const_cast<char*>(text.data()), unsigned(text.size()), 1, 0, 0),
        BZ_OK);
    return out.substr(0, bytes);
}

std::string xz_packed(const std::string& text) {
    std::string out(lzma_stream_buffer_bound(text.size()), '\0');
    std::size_t bytes = 0;
    EXPECT_EQ(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const std::uint8_t*>(text.data()),
                                      text.size(), reinterpret_cast<std::uint8_t*>(out.data()), &bytes, out.size()),
              LZMA_OK);
    return out.substr(0, bytes);
}

constexpr std::array packers{gzipped, zstd_packed, bzip2_packed, xz_packed};

struct Read {
    std::vector<std::string> documents;
    std::vector<std::int64_t> lines;  // of each document's first record
    std::vector<TextPosition> places;
};

std::vector<TextInput> regular(const std::vector<std::string>& paths) {
    std::vector<TextInput> inputs;
    for (const std::string& path : paths) inputs.push_back({.path = path});
    return inputs;
}

// Joins the records of each document; `start` and an unfinished document allow reading on from a place.
Read read_all(const std::vector<std::string>& files, const TextReader::Options& options, TextPosition start = {}) {
    TextReader reader(regular(files), options, start);
    TextUnit unit;
    Read result;
    bool open = false;
    while (reader.next(unit)) {
        for (const TextRecord& record : unit.records) {
            if (!open) {
                result.documents.emplace_back();
                result.lines.push_back(record.line);
            }
            result.documents.back() += unit.text.substr(record.begin, record.end - record.begin);
            open = !record.ends_document;
        }
        result.places.push_back(unit.next);
    }
    EXPECT_FALSE(open);
    return result;
}

class TextReading : public testing::Test {
protected:
    std::string file(const std::string& text, const std::string& name = "t.txt") {
        write_bytes(folder / name, text);
        return folder / name;
    }
    std::vector<std::string> documents(const std::string& text, DocumentMode mode, std::int64_t unit = 1 << 20) {
        return read_all({file(text)}, {mode, true, unit}).documents;
    }
    DataFolder folder;
};

using Texts = std::vector<std::string>;

TEST_F(TextReading, ModesCutDocumentsWhereTheySay) {
    EXPECT_EQ(documents("a\nb\n\nc", DocumentMode::file), (Texts{"a\nb\n\nc"}));
    EXPECT_EQ(documents("a\r\nb\n\n c \n", DocumentMode::line), (Texts{"a", "b", " c "}));
    EXPECT_EQ(documents("\n \na\nb\n\t\n\nc\r\n\r\nd", DocumentMode::blank_line), (Texts{"a\nb", "c", "d"}));
    EXPECT_EQ(documents("{}\n\n{\"a\":1}\n", DocumentMode::jsonl), (Texts{"{}", "{\"a\":1}"}));
    for (const auto mode : {DocumentMode::file, DocumentMode::line, DocumentMode::blank_line}) {
        EXPECT_TRUE(documents("", mode).empty());
    }
    EXPECT_EQ(documents("\xef\xbb\xbfx\n", DocumentMode::line), (Texts{"x"}));  // a byte order mark is no text
    EXPECT_EQ(read_all({file("\n\na\nb\n\nc\n")}, {DocumentMode::blank_line}).lines, (std::vector<std::int64_t>{3, 6}));
}

TEST_F(TextReading, UnitSizeNeverChangesTheDocumentsAndEveryPlaceIsOneToGoOnFrom) {
    std::mt19937 random(5);
    for (int round = 0; round < 30; ++round) {
        std::string text;
        for (int i = 0; i < 60; ++i)
            text += Texts{"word", " ", "\n", "\n\n", "\r\n", "\n \n", "longer text "}[random() % 7];
        const Texts files{file(text, "a"), file("", "b"), file(text + "end", "c")};
        for (const auto mode : {DocumentMode::file, DocumentMode::line, DocumentMode::blank_line}) {
            const Read whole = read_all(files, {mode});
            for (const std::int64_t unit : {1, 7, 64}) {
                const Read cut = read_all(files, {mode, true, unit});
                EXPECT_EQ(cut.documents, whole.documents);
                EXPECT_EQ(cut.lines, whole.lines);
                EXPECT_EQ(read_all(files, {mode, false, unit}).documents, whole.documents);
                std::string joined;
                for (const auto& document : whole.documents) joined += document;
                for (const TextPosition& place : cut.places) {
                    std::string rest;
                    TextReader reader(regular(files), {mode, true, unit}, place);
                    TextUnit next;
                    while (reader.next(next)) {
                        for (const auto& record : next.records)
                            rest += next.text.substr(record.begin, record.end - record.begin);
                    }
                    ASSERT_TRUE(joined.ends_with(rest));
                }
            }
        }
    }
}

TEST_F(TextReading, CompressedFilesReadAsTheirText) {
    std::string text;
    for (int i = 0; i < 50000; ++i) text += std::to_string(i * 7919) + "\n";
    const Texts expected = documents(text, DocumentMode::line);
    for (const auto pack : packers) {
        for (const auto& packed : {pack(text), pack(text.substr(0, 1000)) + pack("") + pack(text.substr(1000))}) {
            const std::vector<std::string> files{file(packed)};
            const Read cut = read_all(files, {DocumentMode::line, true, 5000});
            EXPECT_TRUE(cut.documents == expected);
            const TextPosition place = cut.places.at(cut.places.size() / 2);
            const Texts rest = read_all(files, {DocumentMode::line}, place).documents;
            EXPECT_TRUE(rest == Texts(expected.begin() + place.line - 1, expected.end()));
        }
        EXPECT_TRUE(documents(pack(""), DocumentMode::file).empty());
    }
    // A tape pads its files with zeros; pzstd puts a frame of its own in front.
    for (const auto pack : {gzipped, bzip2_packed, xz_packed}) {
        const std::string zeros(700, '\0');
        EXPECT_TRUE(documents(pack(text) + zeros, DocumentMode::line) == expected);
        EXPECT_TRUE(documents(pack(text.substr(0, 1000)) + zeros + pack(text.substr(1000)), DocumentMode::line) ==
                    expected);
    }
    EXPECT_EQ(documents(std::string("\x50\x2a\x4d\x18\x04\0\0\0abcd", 12) + zstd_packed(text), DocumentMode::line),
              expected);
}

TEST_F(TextReading, WhatWasSeenByPeekingIsReadAgain) {
    std::string text;
    for (int i = 0; i < 50000; ++i) text += std::to_string(i) + "\n";
    for (const std::string& stored : {text, gzipped(text), zstd_packed(text), bzip2_packed(text), xz_packed(text)}) {
        TextFile source(file(stored));
        EXPECT_EQ(source.peek(10), text.substr(0, 10));
        EXPECT_EQ(source.peek(200000), text.substr(0, 200000));
        std::string all(text.size() + 1, '\0'), part(7001, '\0');
        std::size_t at = 0;
        while (const std::int64_t got = source.read(part.data(), std::int64_t(part.size()))) {
            ASSERT_LE(at + std::size_t(got), text.size());
            std::copy_n(part.begin(), got, all.begin() + std::ptrdiff_t(at));
            at += std::size_t(got);
        }
        EXPECT_TRUE(all.substr(0, at) == text);
        EXPECT_EQ(source.peek(10), "");
    }
}

TEST_F(TextReading, LinesThatAreTooLongAreLeftOutOrRefused) {
    const std::string good = "{\"text\": \"a\"}", bad(1000, 'x');
    TextReader::Options options{.documents = DocumentMode::jsonl, .unit_bytes = 16, .longest_record_bytes = 256};
    for (const std::string& text :
         {good + "\n" + bad + "\n" + good, good + "\n" + bad, bad + "\n" + good + "\n" + good + "\n"}) {
        options.skip_long_lines = false;
        EXPECT_CONTAINS(error_of([&] { read_all({file(text)}, options); }),
                        text[0] == 'x' ? "t.txt:1: no end" : "t.txt:2: no end");
        options.skip_long_lines = true;
        TextReader reader(regular({file(text)}), options);
        TextUnit unit;
        std::string all;
        while (reader.next(unit)) {
            for (const TextRecord& record : unit.records)
                all += (record.too_long ? "long" : unit.text.substr(record.begin, record.end - record.begin)) +
                       std::to_string(record.line) + ";";
        }
        const auto line = [&](int i) { return good + std::to_string(i) + ";"; };
        EXPECT_EQ(all, text[0] == 'x' ? "long1;" + line(2) + line(3)
                                      : line(1) + "long2;" + (text.ends_with('x') ? "" : line(3)));
    }
}

TEST_F(TextReading, DamagedCompressedFilesAreRefusedWithTheByte) {
    const std::string text(20000, 'x');
    const std::array<std::size_t, 4> magic_bytes{4, 4, 10, 6};
    for (std::size_t i = 0; i < packers.size(); ++i) {
        const std::string packed = packers[i](text);
        for (std::size_t bytes = magic_bytes[i]; bytes < packed.size(); ++bytes) {
            EXPECT_CONTAINS(error_of([&] { documents(packed.substr(0, bytes), DocumentMode::file); }), "it is cut off");
        }
        const std::string followed = packed + (packers[i] == xz_packed ? "more than garbage" : "garbage");
        const std::string message = error_of([&] { documents(followed, DocumentMode::file); });
        EXPECT_CONTAINS(message, "t.txt: byte ");
        EXPECT_CONTAINS(message, "damaged");
    }
    std::string flipped = gzipped(text);
    flipped[flipped.size() - 6] ^= 1;  // in its checksum
    EXPECT_CONTAINS(error_of([&] { documents(flipped, DocumentMode::file); }), "t.txt: byte ");
}

TEST_F(TextReading, EveryChangedByteOfBzip2AndXzDataIsFound) {
    std::string text;
    for (int i = 0; i < 300; ++i) text += std::to_string(i * 7919) + "\n";
    const std::string bzip2 = bzip2_packed(text), xz = xz_packed(text);
    const auto refused = [&](std::string packed, std::size_t at) {
        packed[at] ^= 4;
        const std::string message = error_of([&] { documents(packed, DocumentMode::file); });
        EXPECT_TRUE(message.find("damaged") != std::string::npos || message.find("cut off") != std::string::npos)
            << message;
    };
    // The magic bytes come first; the last bits of bzip2 data are padding.
    for (std::size_t at = 10; at + 1 < bzip2.size(); ++at) refused(bzip2, at);
    for (std::size_t at = 6; at < xz.size(); ++at) refused(xz, at);
}

TEST_F(TextReading, PatternsBecomeTheirMatchesInByteOrder) {
    for (const char* name :
         {"in/b.txt", "in/a.txt", "in/Z.txt", "in/.hidden.txt", "in/c.md", "in/d/e.txt", "in/[x].txt"})
        file("x", name);
    const std::string in = folder / "in";
    EXPECT_EQ(list_text_files({in + "/*.txt"}), (Texts{in + "/Z.txt", in + "/[x].txt", in + "/a.txt", in + "/b.txt"}));
    EXPECT_EQ(list_text_files({in + "/b.txt", in + "/[ac].*"}), (Texts{in + "/b.txt", in + "/a.txt", in + "/c.md"}));
    EXPECT_EQ(list_text_files({folder / "i?/d"}), (Texts{in + "/d/e.txt"}));
    EXPECT_EQ(list_text_files({in + "/[x].txt"}), (Texts{in + "/[x].txt"}));  // the file of this name, not x.txt
    for (const std::string pattern : {"/*.zst", "/none/*.txt", "/a.txt/*", "/[z"})
        EXPECT_CONTAINS(error_of([&] { list_text_files({in + pattern}); }),
                        in + pattern + ": no file or folder matches");
    std::filesystem::create_symlink("nowhere", folder / "in/y.txt");
    EXPECT_CONTAINS(error_of([&] { list_text_files({in + "/y*"}); }), "in/y.txt: no such file");
}

TEST_F(TextReading, FoldersAreReadRecursivelyInOrder) {
    for (const char* name : {"in/b.txt", "in/a/z.txt", "in/c.txt", "in/.hidden", "in/.git/x"}) file("x", name);
    EXPECT_EQ(list_text_files({folder / "in"}),
              (Texts{folder / "in/a/z.txt", folder / "in/b.txt", folder / "in/c.txt"}));
    EXPECT_EQ(list_text_files({folder / "in/c.txt", folder / "in/b.txt"}),
              (Texts{folder / "in/c.txt", folder / "in/b.txt"}));
    EXPECT_CONTAINS(error_of([&] { list_text_files({folder / "none"}); }), "no such file");
    std::filesystem::create_directory(folder / "empty");
    EXPECT_CONTAINS(error_of([&] { list_text_files({folder / "empty"}); }), "without files");
    error_of([&] { list_text_files({}); }, ExitCode::usage);
}

}  // namespace
}  // namespace gpas::test
