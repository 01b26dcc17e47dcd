// Files that grow, tear, shrink and are replaced while they are read.
#include "io/metrics/line_follower.hpp"

#include "tests/io/metrics/metrics_support.hpp"

namespace gpas::metrics_tests {
namespace {

struct Follower : testing::Test {
    ScratchDirectory scratch;
    path file = scratch.get() / "metrics.jsonl";
    LineFollower follower{file};
    int restarts = 0;

    void append(const std::string& text) { std::ofstream(file, std::ios::app) << text; }
    void replace(const std::string& text) {
        const path other = scratch.get() / "other";
        std::ofstream(other) << text;
        std::filesystem::rename(other, file);
    }
    std::vector<std::string> read() {
        std::vector<std::string> lines;
        EXPECT_TRUE(follower.read([&] { ++restarts, lines.clear(); },
                                  [&](std::string_view line) { lines.emplace_back(line); }));
        return lines;
    }
};

using Lines = std::vector<std::string>;

TEST_F(Follower, TellsAnAbsentFileFromAnEmptyOne) {
    const auto nothing = [](std::string_view) { FAIL(); };
    EXPECT_FALSE(follower.read([] {}, nothing));
    append("");
    EXPECT_EQ(read(), Lines());
}

TEST_F(Follower, HandsOverEachLineOnce) {
    append("a\nb\n");
    EXPECT_EQ(read(), (Lines{"a", "b"}));
    EXPECT_EQ(read(), Lines());
    append("\nc\n");
    EXPECT_EQ(read(), (Lines{"", "c"}));
    EXPECT_EQ(restarts, 1);  // the first reading
    EXPECT_EQ(follower.position(), 7);
}

TEST_F(Follower, WaitsForTornLines) {
    append("a\n{\"ste");
    EXPECT_EQ(read(), Lines{"a"});
    EXPECT_EQ(read(), Lines());
    append("p\":1}\n");
    EXPECT_EQ(read(), Lines{"{\"step\":1}"});
}

TEST_F(Follower, ReadsLinesLongerThanItsBuffer) {
    const std::string one(3 << 20, 'x'), two((1 << 20) - 1, 'y');
    append("a\n" + one + "\n" + two + "\n" + two + "\nb\n");
    EXPECT_EQ(read(), (Lines{"a", one, two, two, "b"}));
}

TEST_F(Follower, BeginsAgainWhenTheFileShrinks) {
    append("a\nb\nc\n");
    read();
    std::filesystem::resize_file(file, 2);
    append("d\n");  // still shorter than it was
    EXPECT_EQ(read(), (Lines{"a", "d"}));
    EXPECT_EQ(restarts, 2);
}

TEST_F(Follower, BeginsAgainWhenTheFileIsReplaced) {
    append("a\nb\nc\n");
    read();
    replace("a\nb\nx\ny\n");
    EXPECT_EQ(read(), (Lines{"a", "b", "x", "y"}));
    replace("a\nb\nx\ny\n");  // the same bytes: still another file
    EXPECT_EQ(read(), (Lines{"a", "b", "x", "y"}));
    EXPECT_EQ(restarts, 3);
}

// As a resumed run that wrote more than was read before, in a file that got the old inode's number.
TEST_F(Follower, BeginsAgainWhenTheSameInodeHoldsOtherBytes) {
    append("a\nb\nc\n");
    read();
    std::ofstream(file, std::ios::trunc) << "a\nb\nX\nd\ne\n";
    EXPECT_EQ(read(), (Lines{"a", "b", "X", "d", "e"}));
}

}  // namespace
}  // namespace gpas::metrics_tests
