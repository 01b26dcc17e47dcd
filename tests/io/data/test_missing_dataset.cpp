#include "data_fixtures.hpp"
#include "io/data/indexed_dataset.hpp"

#include <gtest/gtest.h>

namespace gpas::test {
namespace {

class MissingDataset : public testing::Test {
protected:
    std::string refusal(const std::string& name) {
        return error_of([&] { IndexedDataset dataset(folder / name); });
    }
    DataFolder folder;
};

TEST_F(MissingDataset, ThePrefixThatWasMeantIsNamed) {
    write_dataset(folder / "mine_text_document", {{1, 2}});
    EXPECT_CONTAINS(refusal("mine"), "did you mean " + (folder / "mine_text_document") + "?");
    EXPECT_CONTAINS(refusal("mine_text_document.bin"), "without .bin: " + (folder / "mine_text_document"));
    EXPECT_CONTAINS(refusal("mine_text_document.idx"), "without .idx: ");
    write_dataset(folder / "mine_body_document", {{1, 2}});
    EXPECT_CONTAINS(refusal("mine"), "mine_body_document, ");
    EXPECT_CONTAINS(refusal("."), "it is a folder: give one of ");
}

TEST_F(MissingDataset, TextLeadsToPrepare) {
    EXPECT_CONTAINS(refusal("nothing"), "nothing.idx and .bin): make token files from text with `gpas prepare ");
    write_bytes(folder / "corpus.jsonl", "{}");
    EXPECT_CONTAINS(refusal("corpus.jsonl"), "`gpas prepare --input " + (folder / "corpus.jsonl") +
                                                 " --output-prefix " + (folder / "corpus") + " ...`");
    std::filesystem::create_directory(folder / "empty");
    EXPECT_CONTAINS(refusal("empty"), "a folder without token files");
}

TEST_F(MissingDataset, HalfADatasetIsTold) {
    write_dataset(folder / "half", {{1, 2}});
    std::filesystem::rename(folder / "half.idx", folder / "kept");
    EXPECT_CONTAINS(refusal("half"), "half.idx: does not exist, but " + (folder / "half.bin") + " does");
    std::filesystem::remove(folder / "half.bin");
    std::filesystem::rename(folder / "kept", folder / "half.idx");
    EXPECT_CONTAINS(refusal("half"), "half.bin: does not exist");
    write_bytes(folder / "begun.bin.partial", "x");
    EXPECT_CONTAINS(refusal("begun"), "`gpas prepare` was interrupted or still runs");
}

}  // namespace
}  // namespace gpas::test
