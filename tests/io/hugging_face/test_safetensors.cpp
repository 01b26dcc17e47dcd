// Files of tensors: what is written is read back, what is wrong is refused in one line, whatever it is.
#include "base/error.hpp"
#include "io/hugging_face/safetensors.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>

namespace gpas {
namespace {

using test_support::ScratchDirectory;

class Safetensors : public testing::Test {
protected:
    void write(const std::string& header, std::int64_t data_bytes) { write(header, data_bytes, header.size()); }
    void write(const std::string& header, std::int64_t data_bytes, std::uint64_t said) {
        std::ofstream out(file_, std::ios::binary);
        out.write(reinterpret_cast<const char*>(&said), 8);
        out << header << std::string(std::size_t(data_bytes), '\1');
    }
    // The message, which has one line and names the file; empty: accepted.
    std::string refusal() const {
        try {
            const SafetensorsFile file(file_);
            for (const SafetensorsEntry& entry : file.entries()) file.read(entry);
            return {};
        } catch (const Error& error) {
            const std::string message = error.what();
            EXPECT_EQ(error.code(), ExitCode::bad_file) << message;
            EXPECT_EQ(message.find('\n'), std::string::npos) << message;
            EXPECT_NE(message.find("x.safetensors"), std::string::npos) << message;
            return message;
        }
    }
    std::string refusal_of(const std::string& header, std::int64_t data_bytes = 16) {
        write(header, data_bytes);
        return refusal();
    }

    ScratchDirectory scratch_;
    std::string file_ = scratch_ / "x.safetensors";
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(StoredDtype, holds_every_half_precision_number) {
    for (const StoredDtype dtype : {StoredDtype::fp16, StoredDtype::bf16})
        for (std::uint32_t bits = 0; bits < 65536; ++bits) {
            const float value = from_stored(dtype, std::uint16_t(bits));
            if (std::isnan(value)) {
                EXPECT_TRUE(std::isnan(from_stored(dtype, to_stored(dtype, value))));
            } else {
                EXPECT_EQ(to_stored(dtype, value), bits);
            }
        }
}

TEST(StoredDtype, rounds_fp16_to_nearest_even) {
    const auto next = [](float value) { return std::nextafter(value, std::numeric_limits<float>::infinity()); };
    for (std::uint32_t bits = 0; bits < 0x7bff; ++bits) {  // between each two neighbours
        const float low = from_stored(StoredDtype::fp16, std::uint16_t(bits));
        const float high = from_stored(StoredDtype::fp16, std::uint16_t(bits + 1));
        const float middle = (low + high) / 2;  // exact in fp32
        EXPECT_EQ(to_stored(StoredDtype::fp16, middle), bits + (bits & 1));
        EXPECT_EQ(to_stored(StoredDtype::fp16, next(middle)), bits + 1);
        EXPECT_EQ(to_stored(StoredDtype::fp16, -next(middle)), (bits + 1) | 0x8000);
    }
    EXPECT_EQ(to_stored(StoredDtype::fp16, 65519.99F), 0x7bff);
    EXPECT_EQ(to_stored(StoredDtype::fp16, 65520.0F), 0x7c00);
}

TEST_F(Safetensors, are_read_as_they_were_written) {
    std::vector<float> values;
    for (int i = 0; i < 35; ++i) values.push_back(std::ldexp(float(i - 17), i % 9 - 4));
    for (const StoredDtype dtype : {StoredDtype::fp32, StoredDtype::bf16, StoredDtype::fp16}) {
        SafetensorsWriter writer(file_, {.dtype = dtype,
                                         .tensors = {{"a", {5, 7}}, {"scalar", {}}, {"nothing", {0, 3}}},
                                         .metadata = {{"format", "pt"}}});
        EXPECT_FALSE(std::filesystem::exists(file_));
        writer.write(values);
        writer.write({2.5F});
        writer.write({});
        writer.finish();
        const SafetensorsFile file(file_);
        EXPECT_EQ(file.metadata().at("format"), "pt");
        EXPECT_EQ(file.read(*file.find("a")), values);
        EXPECT_EQ(file.read(*file.find("scalar")), std::vector<float>{2.5F});
        EXPECT_TRUE(file.read(*file.find("nothing")).empty());
        EXPECT_EQ(file.find("b"), nullptr);
        std::filesystem::remove(file_);
    }
}

TEST_F(Safetensors, that_were_not_finished_leave_nothing) {
    {
        SafetensorsWriter writer(file_, {.tensors = {{"a", {2}}}});
    }
    EXPECT_TRUE(std::filesystem::is_empty(scratch_.get()));
}

TEST_F(Safetensors, refuse_values_that_do_not_fit) {
    SafetensorsWriter writer(file_, {.dtype = StoredDtype::fp16, .tensors = {{"large", {1}}}});
    try {
        writer.write({70000.0F});
        FAIL();
    } catch (const Error& error) {
        EXPECT_HAS(std::string(error.what()), "large: 70000 does not fit into F16");
    }
}

TEST_F(Safetensors, with_hostile_headers_are_refused) {
    const auto tensor = [](const std::string& shape, const std::string& offsets, const std::string& dtype = "F32") {
        return R"("a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
    };
    EXPECT_EQ(refusal_of("{" + tensor("[4]", "[0,16]") + "}   "), "");
    EXPECT_EQ(refusal_of("{}", 0), "");
    EXPECT_HAS(refusal_of("{" + tensor("[4]", "[0,16]") + "," + tensor("[4]", "[0,16]") + "}"), "\"a\" twice");
    const std::string b = R"(,"b":{"dtype":"F32","shape":[2],"data_offsets":)";
    EXPECT_HAS(refusal_of("{" + tensor("[2]", "[0,8]") + b + "[4,12]}}", 12), "overlap");
    EXPECT_HAS(refusal_of("{" + tensor("[2]", "[0,8]") + b + "[12,20]}}", 20), "leave a gap");
    EXPECT_HAS(refusal_of("{" + tensor("[4]", "[0,16]") + "}", 12), "describes 16 bytes of data, the file has 12");
    EXPECT_HAS(refusal_of("{" + tensor("[4]", "[0,16]") + "}", 17), "describes 16 bytes of data, the file has 17");
    EXPECT_HAS(refusal_of("{" + tensor("[4]", "[16,0]") + "}"), "data_offsets are 16 to 0");
    EXPECT_HAS(refusal_of("{" + tensor("[5]", "[0,16]") + "}"), "take 20 bytes");
    EXPECT_HAS(refusal_of("{" + tensor("[4294967296,4294967296,4]", "[0,16]") + "}"),
               "its shape has too many elements");
    EXPECT_HAS(refusal_of("{" + tensor("[-1]", "[0,16]") + "}"), "found -1");
    EXPECT_HAS(refusal_of("{" + tensor("[1.5]", "[0,16]") + "}"), "found \"1.5\"");
    EXPECT_HAS(refusal_of("{" + tensor("[4]", "[0,99999999999999999999]") + "}"), "found");
    EXPECT_HAS(refusal_of("{" + tensor("[4]", "[0,18446744073709551615]") + "}"), "found 18446744073709551615");
    EXPECT_HAS(refusal_of("{" + tensor("[4]", "[0]") + "}"), "1 data_offsets instead of two");
    EXPECT_HAS(refusal_of("{" + tensor("[1,1,1,1,1,1,1,1,4]", "[0,16]") + "}"), "more than 8 numbers");
    EXPECT_HAS(refusal_of("{" + tensor("[4]", "[0,16]", "Q4_K") + "}"), "dtype \"Q4_K\" is unknown");
    EXPECT_HAS(refusal_of("{" + tensor("[4]", "[0,16]", "I32") + "}"), "expected F32, BF16 or F16");
    EXPECT_HAS(refusal_of(R"({"a":{"dtype":"F32","shape":[4]}})"), "only 2 of dtype, shape and data_offsets");
    EXPECT_HAS(refusal_of(R"({"a":{"dtype":"F32","shape":[4],"shape":[4],"data_offsets":[0,16]}})"), "\"shape\" twice");
    EXPECT_HAS(refusal_of(R"({"a":{"code":"F32"}})"), "the key \"code\"");
    EXPECT_HAS(refusal_of(R"({"a":{"dtype":{"b":1}}})"), "an object");
    EXPECT_HAS(refusal_of(R"({"a":[1]})"), "a list");
    EXPECT_HAS(refusal_of(R"({"__metadata__":{"a":1}})"), "found 1");
    EXPECT_HAS(refusal_of(R"({"__metadata__":{"a":"b","a":"c"}})"), "\"a\" twice");
    EXPECT_HAS(refusal_of("[]"), "does not begin with {");
    EXPECT_HAS(refusal_of("{"), "not JSON");
    EXPECT_HAS(refusal_of("{} {}"), "not JSON");
    EXPECT_HAS(refusal_of(std::string(R"({"a\u0000)") + "\xff" + R"(":{}})"), "not JSON");
    EXPECT_HAS(refusal_of("{\"\\u001b[31m\":[]}"), "?[31m");
    EXPECT_HAS(refusal_of(""), "does not begin with {");
    write("{}", 0, std::uint64_t(1) << 63);
    EXPECT_HAS(refusal(), "a header of 9223372036854775808 bytes");
    write("{}", 0, 200);
    EXPECT_HAS(refusal(), "a header of 200 bytes");
    std::ofstream(file_, std::ios::binary) << "1234";
    EXPECT_HAS(refusal(), "found 4 bytes, expected a safetensors file");
    std::filesystem::remove(file_);
    EXPECT_HAS(refusal(), "No such file");
    std::filesystem::create_directory(file_);
    EXPECT_HAS(refusal(), "not a file");
}

TEST_F(Safetensors, with_deep_or_long_headers_are_refused_at_once) {
    EXPECT_HAS(refusal_of(std::string(10'000'000, '[')), "does not begin with {");
    std::string deep;
    for (int i = 0; i < 1'000'000; ++i) deep += "{\"a\":";
    EXPECT_HAS(refusal_of(deep), "the key \"a\"");
    EXPECT_NE(refusal_of(R"({"a":{"shape":[)" + std::string(10'000'000, '1') + "]}}"), "");
    EXPECT_HAS(refusal_of(R"({"a":{"shape":[)" +
                          [] {
                              std::string ones;
                              for (int i = 0; i < 1'000'000; ++i) ones += "1,";
                              return ones;
                          }() +
                          "1]}}"),
               "more than 8 numbers");
}

TEST_F(Safetensors, of_any_bytes_are_read_or_refused) {
    SafetensorsWriter writer(file_, {.dtype = StoredDtype::fp32, .tensors = {{"a", {5, 7}}, {"b", {3}}}});
    writer.write(std::vector<float>(35, 1.5F));
    writer.write({1, 2, 3});
    writer.finish();
    std::ifstream in(file_, std::ios::binary);
    const std::string good((std::istreambuf_iterator<char>(in)), {});
    const std::size_t header = good.size() - 38 * 4;
    std::mt19937_64 random(3);
    int refused = 0;
    for (int i = 0; i < 4000; ++i) {
        std::string bytes = good;
        for (std::uint64_t flips = 1 + random() % 3; flips > 0; --flips)
            bytes[random() % header] ^= char(1u << random() % 8);
        if (random() % 8 == 0) bytes.resize(random() % bytes.size());
        std::ofstream(file_, std::ios::binary) << bytes;
        refused += !refusal().empty();
    }
    EXPECT_GT(refused, 3000);
}

}  // namespace
}  // namespace gpas
