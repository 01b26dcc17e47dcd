#include "base/error.hpp"
#include "data_fixtures.hpp"
#include "io/data/indexed_dataset.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

namespace gpas::test {
namespace {

// The 102 bytes of Megatron's own output for three documents of 3, 1 and 2 tokens as uint16.
const std::string golden_idx(
    "MMIDIDX\0\0"
    "\1\0\0\0\0\0\0\0"
    "\10"
    "\3\0\0\0\0\0\0\0"
    "\4\0\0\0\0\0\0\0"
    "\3\0\0\0"
    "\1\0\0\0"
    "\2\0\0\0"
    "\0\0\0\0\0\0\0\0"
    "\6\0\0\0\0\0\0\0"
    "\10\0\0\0\0\0\0\0"
    "\0\0\0\0\0\0\0\0"
    "\1\0\0\0\0\0\0\0"
    "\2\0\0\0\0\0\0\0"
    "\3\0\0\0\0\0\0\0",
    102);
const std::string golden_bin("\12\0\13\0\14\0\24\0\36\0\37\1", 12);
const Documents golden_documents{{10, 11, 12}, {20}, {30, 287}};

template <class T>
std::string patched(std::string bytes, std::size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
    return bytes;
}

class IndexedDatasetFile : public testing::Test {
protected:
    void store(const std::string& idx, const std::string& bin = golden_bin) {
        write_bytes(folder / "d.idx", idx);
        write_bytes(folder / "d.bin", bin);
    }
    std::string refusal(const std::string& idx, const std::string& bin = golden_bin) {
        store(idx, bin);
        return error_of([&] { IndexedDataset dataset(folder / "d"); });
    }
    std::vector<std::int32_t> document(const IndexedDataset& data, std::int64_t k) {
        std::vector<std::int32_t> ids(std::size_t(data.document_begin(k + 1) - data.document_begin(k)));
        data.read(data.document_begin(k), std::int64_t(ids.size()), ids.data());
        return ids;
    }
    DataFolder folder;
};

TEST_F(IndexedDatasetFile, WriterProducesMegatronsGoldenBytes) {
    write_dataset(folder / "d", golden_documents);
    EXPECT_EQ(read_bytes(folder / "d.idx"), golden_idx);
    EXPECT_EQ(read_bytes(folder / "d.bin"), golden_bin);
}

TEST_F(IndexedDatasetFile, ReaderReadsMegatronsGoldenBytes) {
    store(golden_idx);
    const IndexedDataset data(folder / "d");
    EXPECT_EQ(data.documents(), 3);
    EXPECT_EQ(data.sequences(), 3);
    EXPECT_EQ(data.tokens(), 6);
    for (std::int64_t k = 0; k < 3; ++k) EXPECT_EQ(document(data, k), golden_documents[std::size_t(k)]);
}

TEST_F(IndexedDatasetFile, EveryDtypeComesBackAsWritten) {
    for (const TokenDtype dtype : {TokenDtype::uint8, TokenDtype::int8, TokenDtype::int16, TokenDtype::int32,
                                   TokenDtype::int64, TokenDtype::uint16}) {
        const std::int32_t top = dtype == TokenDtype::uint8 ? 255 : dtype == TokenDtype::int8 ? 127 : 32767;
        write_dataset(folder / "d", {{0, top}, {}, {1, 2, 3}}, dtype);
        const IndexedDataset data(folder / "d");
        EXPECT_EQ(data.dtype(), dtype);
        EXPECT_EQ(document(data, 0), (std::vector<std::int32_t>{0, top}));
        EXPECT_TRUE(document(data, 1).empty());
        EXPECT_EQ(document(data, 2), (std::vector<std::int32_t>{1, 2, 3}));
    }
}

TEST_F(IndexedDatasetFile, WriterRefusesAnIdItsDtypeCannotHold) {
    IndexedDatasetWriter writer(folder / "d", TokenDtype::uint16);
    EXPECT_CONTAINS(error_of([&] { writer.append(std::vector<std::int32_t>{1, 65536}); }, ExitCode::internal), "65536");
    EXPECT_THROW(writer.append(std::vector<std::int32_t>{-1}), Error);
}

TEST_F(IndexedDatasetFile, ADocumentMayHaveSeveralSequences) {
    // Documents {sequence 0, sequence 1} and {sequence 2}: D shrinks by one entry.
    std::string idx = patched<std::uint64_t>(golden_idx.substr(0, 70), 26, 3);
    for (const std::int64_t entry : {0, 2, 3}) idx.append(reinterpret_cast<const char*>(&entry), 8);
    store(idx);
    const IndexedDataset data(folder / "d");
    EXPECT_EQ(data.documents(), 2);
    EXPECT_EQ(document(data, 0), (std::vector<std::int32_t>{10, 11, 12, 20}));
}

TEST_F(IndexedDatasetFile, ModeBytesOfMultimodalFilesAreIgnored) {
    store(golden_idx + std::string(3, '\0'));
    EXPECT_EQ(IndexedDataset(folder / "d").tokens(), 6);
}

TEST_F(IndexedDatasetFile, AnEmptyDatasetIsReadable) {
    write_dataset(folder / "d", {});
    const IndexedDataset data(folder / "d");
    EXPECT_EQ(data.documents(), 0);
    EXPECT_EQ(data.tokens(), 0);
    data.check_ids(10, 2);
    EXPECT_NE(data.fingerprint(), 0u);
}

TEST_F(IndexedDatasetFile, DocumentOfFindsTheDocumentAroundEmptyOnes) {
    write_dataset(folder / "d", {{}, {1, 2}, {}, {}, {3}, {}});
    const IndexedDataset data(folder / "d");
    EXPECT_EQ(data.document_of(0), 1);
    EXPECT_EQ(data.document_of(1), 1);
    EXPECT_EQ(data.document_of(2), 4);
}

TEST_F(IndexedDatasetFile, EveryTruncationOfTheIndexIsRefused) {
    for (std::size_t bytes = 0; bytes < golden_idx.size(); ++bytes) {
        EXPECT_CONTAINS(refusal(golden_idx.substr(0, bytes)), "d.idx") << bytes;
    }
}

TEST_F(IndexedDatasetFile, EveryTruncationOrExtensionOfTheTokensIsRefused) {
    for (std::size_t bytes = 0; bytes < golden_bin.size(); ++bytes) {
        EXPECT_CONTAINS(refusal(golden_idx, golden_bin.substr(0, bytes)), "d.bin");
    }
    EXPECT_CONTAINS(refusal(golden_idx, golden_bin + "x"), "d.bin");
}

TEST_F(IndexedDatasetFile, EveryBitFlipOfTheIndexIsRefusedOrLeavesTheTokensInPlace) {
    int accepted = 0;
    for (std::size_t bit = 0; bit < golden_idx.size() * 8; ++bit) {
        std::string idx = golden_idx;
        idx[bit / 8] = char(idx[bit / 8] ^ (1 << (bit % 8)));
        store(idx);
        try {
            const IndexedDataset data(folder / "d");
            EXPECT_EQ(data.tokens() * token_bytes(data.dtype()), std::int64_t(golden_bin.size()));
            ++accepted;
        } catch (const Error& error) {
            EXPECT_EQ(int(error.code()), int(ExitCode::bad_file));
        }
    }
    // Two flips move a document boundary and leave a well-formed file:
    // documents[1]: 1 -> 0; documents[2]: 2 -> 3. The dtype code 8 has no integer neighbour one bit away.
    EXPECT_EQ(accepted, 2);
}

TEST_F(IndexedDatasetFile, AbsurdCountsAreRefusedWithoutOverflow) {
    for (const std::uint64_t count : {~0ull, 1ull << 63, 1ull << 62, (1ull << 60) + 3, 1ull << 32, 100ull}) {
        EXPECT_CONTAINS(refusal(patched(golden_idx, 18, count)), "byte 18");
        EXPECT_CONTAINS(refusal(patched(golden_idx, 26, count)), "byte 26");
    }
    EXPECT_CONTAINS(refusal(patched<std::uint64_t>(golden_idx, 26, 0)), "byte 26");
}

TEST_F(IndexedDatasetFile, MessagesNameThePlaceAndTheReason) {
    EXPECT_CONTAINS(refusal(patched<std::uint8_t>(golden_idx, 17, 7)), "float32, which cannot store token ids");
    EXPECT_CONTAINS(refusal(patched<std::uint8_t>(golden_idx, 17, 6)), "float64");
    EXPECT_CONTAINS(refusal(patched<std::uint8_t>(golden_idx, 17, 99)), "code 99 is unknown");
    EXPECT_CONTAINS(refusal(patched<std::uint64_t>(golden_idx, 9, 2)), "byte 9: version 2");
    EXPECT_CONTAINS(refusal(patched<std::int32_t>(golden_idx, 38, -1)), "byte 38: sequence 1 has the length -1");
    EXPECT_CONTAINS(refusal(patched<std::int64_t>(golden_idx, 54, 7)), "byte 54: sequence 1 begins at byte 7");
    EXPECT_CONTAINS(refusal(patched<std::int64_t>(golden_idx, 70, 1)), "byte 70: document 0 begins at sequence 1");
    EXPECT_CONTAINS(refusal(patched<std::int64_t>(golden_idx, 86, 0)), "byte 86");
    EXPECT_CONTAINS(refusal(patched<std::int64_t>(golden_idx, 94, 2)), "ends at sequence 2, expected 3");
    EXPECT_CONTAINS(refusal(golden_idx + "garbage"), "followed by bytes that do not belong to it");
    EXPECT_CONTAINS(refusal("\x89HDF\r\n\x1a\n and more than thirty-four bytes"), "not a Megatron token index");
}

TEST_F(IndexedDatasetFile, AMissingPartnerIsNamed) {
    write_bytes(folder / "d.idx", golden_idx);
    EXPECT_CONTAINS(error_of([&] { IndexedDataset data(folder / "d"); }), "d.bin: does not exist");
    std::filesystem::remove(folder / "d.idx");
    write_bytes(folder / "d.bin", golden_bin);
    EXPECT_CONTAINS(error_of([&] { IndexedDataset data(folder / "d"); }), "d.idx: does not exist");
    std::filesystem::create_directory(folder / "d.idx");
    EXPECT_CONTAINS(error_of([&] { IndexedDataset data(folder / "d"); }), "not a regular file");
}

TEST_F(IndexedDatasetFile, CheckIdsNamesTheFirstIdOutsideTheVocabulary) {
    std::vector<std::int32_t> ids(300000, 5);
    ids[200001] = 100;
    ids[290000] = 101;
    write_dataset(folder / "d", {ids});
    const IndexedDataset data(folder / "d");
    data.check_ids(102, 3);
    for (const int threads : {1, 4}) {
        const std::string message = error_of([&] { data.check_ids(100, threads); });
        EXPECT_CONTAINS(message, "byte 400002: token 200001 has the id 100, outside the vocabulary of 100");
    }
    // A sample of the first and the last block, the latter from token 262144 on.
    EXPECT_CONTAINS(error_of([&] { data.check_ids(100, 1, 1); }), "token 290000 has the id 101");
}

TEST_F(IndexedDatasetFile, IdsBeyondInt32OrBelowZeroAreOutsideEveryVocabulary) {
    std::string bin(6 * 8, '\0');
    std::string idx = patched<std::uint8_t>(golden_idx, 17, 5);
    for (int i = 0; i < 3; ++i)
        idx = patched<std::int64_t>(idx, 46 + 8 * std::size_t(i), i == 0 ? 0 : i == 1 ? 24 : 32);
    store(idx, patched<std::int64_t>(bin, 16, (1ll << 40) + 3));
    EXPECT_CONTAINS(error_of([&] { IndexedDataset(folder / "d").check_ids(1000, 1); }), "id 1099511627779");
    store(idx, patched<std::int64_t>(bin, 16, -7));
    EXPECT_CONTAINS(error_of([&] { IndexedDataset(folder / "d").check_ids(1000, 1); }), "id -7");
}

TEST_F(IndexedDatasetFile, FingerprintsTellDatasetsApart) {
    write_dataset(folder / "a", golden_documents);
    write_dataset(folder / "b", golden_documents);
    write_dataset(folder / "c", {{10, 11, 12}, {20}, {30, 288}});
    write_dataset(folder / "e", {{10, 11}, {12, 20}, {30, 287}});
    const auto fingerprint = [&](const char* name) { return IndexedDataset(folder / name).fingerprint(); };
    EXPECT_EQ(fingerprint("a"), fingerprint("b"));
    EXPECT_NE(fingerprint("a"), fingerprint("c"));
    EXPECT_NE(fingerprint("a"), fingerprint("e"));
}

// Against a reader and writer of a few lines of Python that share no code with ours.
class PythonInterchange : public IndexedDatasetFile {
protected:
    void SetUp() override {
        if (std::system("python3 -c pass > /dev/null 2>&1") != 0) GTEST_SKIP() << "no python3";
    }
    int python(const std::string& arguments) {
        return std::system(("python3 '" GPAS_TEST_DATA_FOLDER "/megatron_format.py' " + arguments).c_str());
    }
    const Documents documents{{1, 2, 3}, {}, {100}, {127, 0, 5, 5}};
    const std::string text = "1 2 3\n\n100\n127 0 5 5\n";
};

TEST_F(PythonInterchange, PythonReadsWhatWeWrite) {
    for (const int code : {1, 2, 3, 4, 5, 8}) {
        write_dataset(folder / "d", documents, TokenDtype(code));
        ASSERT_EQ(python("dump " + (folder / "d") + " > " + (folder / "out")), 0);
        EXPECT_EQ(read_bytes(folder / "out"), text) << "dtype code " << code;
    }
}

TEST_F(PythonInterchange, WeReadWhatPythonWritesAndWriteTheSameBytes) {
    write_bytes(folder / "in", text);
    for (const int code : {1, 2, 3, 4, 5, 8}) {
        ASSERT_EQ(python("write " + (folder / "p") + " " + std::to_string(code) + " < " + (folder / "in")), 0);
        const IndexedDataset data(folder / "p");
        ASSERT_EQ(data.documents(), 4);
        for (std::int64_t k = 0; k < 4; ++k) EXPECT_EQ(document(data, k), documents[std::size_t(k)]);
        write_dataset(folder / "d", documents, TokenDtype(code));
        EXPECT_EQ(read_bytes(folder / "d.idx"), read_bytes(folder / "p.idx"));
        EXPECT_EQ(read_bytes(folder / "d.bin"), read_bytes(folder / "p.bin"));
    }
}

TEST_F(IndexedDatasetFile, AnUnfinishedWriteIsNoDatasetAndLeavesTheOldOneAlone) {
    write_dataset(folder / "d", golden_documents);
    {
        IndexedDatasetWriter writer(folder / "d", TokenDtype::uint16);
        writer.append(std::vector<std::int32_t>{1, 2, 3});
        writer.end_document();
        EXPECT_EQ(IndexedDataset(folder / "d").documents(), 3);
    }
    EXPECT_EQ(IndexedDataset(folder / "d").documents(), 3);
    EXPECT_FALSE(std::filesystem::exists(folder / "d.bin.partial"));
    EXPECT_FALSE(std::filesystem::exists(folder / "d.idx.partial"));
}

TEST_F(IndexedDatasetFile, PartialFilesUnderTheFinalNamesAreRefused) {
    IndexedDatasetWriter writer(folder / "p", TokenDtype::uint16);
    writer.append(std::vector<std::int32_t>{1, 2, 3});
    writer.end_document();
    writer.mark();
    std::filesystem::copy_file(folder / "p.bin.partial", folder / "d.bin");
    std::filesystem::copy_file(folder / "p.idx.partial", folder / "d.idx");
    EXPECT_CONTAINS(error_of([&] { IndexedDataset data(folder / "d"); }), "not a Megatron token index");
}

TEST_F(IndexedDatasetFile, AWriteResumedFromAMarkEqualsAnUninterruptedOne) {
    write_dataset(folder / "whole", golden_documents);
    IndexedDatasetWriter::Mark mark;
    {
        IndexedDatasetWriter writer(folder / "d", TokenDtype::uint16);
        writer.append(golden_documents[0]);
        writer.end_document();
        writer.append(golden_documents[1]);
        mark = writer.mark();  // inside a document
        writer.append(std::vector<std::int32_t>{99, 98});
        writer.end_document();
    }
    IndexedDatasetWriter writer(folder / "d", TokenDtype::uint16, mark);
    EXPECT_EQ(writer.open_tokens(), 1);
    writer.end_document();
    writer.append(golden_documents[2]);
    writer.end_document();
    writer.finish();
    EXPECT_EQ(read_bytes(folder / "d.idx"), read_bytes(folder / "whole.idx"));
    EXPECT_EQ(read_bytes(folder / "d.bin"), read_bytes(folder / "whole.bin"));
}

TEST_F(IndexedDatasetFile, ResumingOverDamagedPartialFilesIsRefused) {
    IndexedDatasetWriter::Mark mark;
    {
        IndexedDatasetWriter writer(folder / "d", TokenDtype::uint16);
        writer.append(golden_documents[0]);
        writer.end_document();
        mark = writer.mark();
    }
    const auto resume = [&] { IndexedDatasetWriter writer(folder / "d", TokenDtype::uint16, mark); };
    const std::string bin = read_bytes(folder / "d.bin.partial"), idx = read_bytes(folder / "d.idx.partial");
    write_bytes(folder / "d.bin.partial", bin.substr(1));
    EXPECT_CONTAINS(error_of(resume), "were written before");
    write_bytes(folder / "d.bin.partial", patched<char>(bin, 1, 1));
    EXPECT_CONTAINS(error_of(resume), "are not those written");
    write_bytes(folder / "d.bin.partial", bin);
    write_bytes(folder / "d.idx.partial", patched<char>(idx, 34, 2));
    EXPECT_CONTAINS(error_of(resume), "add up to 2 tokens");
    write_bytes(folder / "d.idx.partial", idx);
    resume();
}

}  // namespace
}  // namespace gpas::test
