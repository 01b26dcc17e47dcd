#include "base/bytes_text.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace gpas {
namespace {

TEST(BytesText, TakesTheUnitThatFits) {
    EXPECT_EQ(bytes_text(0), "0 bytes");
    EXPECT_EQ(bytes_text(1), "1 byte");
    EXPECT_EQ(bytes_text(1023), "1023 bytes");
    EXPECT_EQ(bytes_text(1024), "1.00 KiB");
    EXPECT_EQ(bytes_text(1536), "1.50 KiB");
    EXPECT_EQ(bytes_text(10.0 * 1024), "10.0 KiB");
    EXPECT_EQ(bytes_text(23.44 * 1024 * 1024), "23.4 MiB");
    EXPECT_EQ(bytes_text(512.0 * 1024 * 1024), "512 MiB");
    EXPECT_EQ(bytes_text(1024.0 * 1024 * 1024 - 1), "1.00 GiB");
    EXPECT_EQ(bytes_text(80.0 * 1024 * 1024 * 1024), "80.0 GiB");
    EXPECT_EQ(bytes_text(3.0 * 1024 * 1024 * 1024 * 1024), "3.00 TiB");
    EXPECT_EQ(bytes_text(4096.0 * 1024 * 1024 * 1024 * 1024), "4096 TiB");
    EXPECT_EQ(bytes_text(std::numeric_limits<double>::quiet_NaN()), "?");
    EXPECT_EQ(bytes_text(-2048), "-2.00 KiB");
}

}  // namespace
}  // namespace gpas
