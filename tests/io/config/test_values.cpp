// Single values: numbers as text, and the nearest name.
#include "io/config/enum_names.hpp"
#include "io/config/read_value.hpp"
#include "io/config/suggest.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <set>

namespace gpas {
namespace {

TEST(Values, IntegersAreExact) {
    EXPECT_EQ(parse_integer("0"), 0);
    EXPECT_EQ(parse_integer("-7"), -7);
    EXPECT_EQ(parse_integer("+7"), 7);
    EXPECT_EQ(parse_integer("1_000_000"), 1000000);
    EXPECT_EQ(parse_integer("1e6"), 1000000);
    EXPECT_EQ(parse_integer("25E+3"), 25000);
    EXPECT_EQ(parse_integer("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
    EXPECT_EQ(parse_integer("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
    for (const char* bad :
         {"",     "-",   "+",    "--1",   "+-1",  "1.0",   "1.",    "010", "0x10", "1_", "_1",
          "1__0", "1e",  "e6",   "1e-1",  "1e19", "10e18", "1e1e1", "10k", " 1",   "1 ", "9223372036854775808",
          "nan",  "inf", "-inf", "1e+-3", "1e_3", "0b1"}) {
        EXPECT_EQ(parse_integer(bad), std::nullopt) << bad;
    }
}

TEST(Values, NumbersAreFinite) {
    EXPECT_EQ(parse_real("1e-3"), 1e-3);
    EXPECT_EQ(parse_real(".5"), 0.5);
    EXPECT_EQ(parse_real("+0.5"), 0.5);
    EXPECT_EQ(parse_real("-2"), -2.0);
    EXPECT_EQ(parse_real("500_000"), 500000.0);
    EXPECT_EQ(parse_real("5e-324"), 5e-324);
    for (const char* bad : {"", ".", "-", "nan", "-nan", ".nan", "inf", "-inf", "+inf", "-.inf", "1e999", "0x1p3",
                            "1,5", "5%", "1e", "1f", "infinity", "--1"}) {
        EXPECT_EQ(parse_real(bad), std::nullopt) << bad;
    }
}

TEST(Values, EditDistanceCountsSlips) {
    EXPECT_EQ(edit_distance("", "abc"), 3);
    EXPECT_EQ(edit_distance("steps", "steps"), 0);
    EXPECT_EQ(edit_distance("stepz", "steps"), 1);
    EXPECT_EQ(edit_distance("setps", "steps"), 1);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
    EXPECT_TRUE(is_near("laers", "layers"));
    EXPECT_FALSE(is_near("lr", "beta1"));
}

TEST(Schema, NamesAreUniqueAndForeignNamesDoNotHideOurs) {
    std::set<std::string> names;
    std::set<std::string> aliases;
    for (const KeySpec& key : config_keys()) {
        EXPECT_TRUE(names.insert(key.name).second) << key.name;
        EXPECT_TRUE(is_section(key.section)) << key.name;
        EXPECT_EQ(find_key(key.name), &key);
        EXPECT_TRUE(key.help.ends_with(".")) << key.name;
        EXPECT_EQ(key.help.find('\n'), std::string::npos) << key.name;
        for (const std::string& alias : key.aliases) EXPECT_TRUE(aliases.insert(alias).second) << alias;
        for (const KeySpec& other : config_keys()) {
            for (const std::string& alias : other.aliases) EXPECT_NE(alias, key.leaf) << other.name;
        }
    }
    EXPECT_EQ(find_key("model"), nullptr);
    EXPECT_EQ(find_key(""), nullptr);
}

TEST(Schema, DefaultsLieInsideTheirRanges) {
    for (const KeySpec& key : config_keys()) {
        const ConfigValue value = key.get(RunConfig{});
        if (const auto* integer = std::get_if<std::int64_t>(&value)) {
            EXPECT_TRUE(key.range.contains(static_cast<double>(*integer))) << key.name;
        } else if (const auto* real = std::get_if<double>(&value)) {
            EXPECT_TRUE(key.range.contains(*real)) << key.name;
        }
    }
}

TEST(Schema, EveryEnumeratorHasAName) {
    EXPECT_EQ(enum_names<Architecture>().size(), 14u);
    EXPECT_EQ(name_of(Architecture::post_gpas), "post_gpas");
    EXPECT_EQ(name_of(DeviceKind::automatic), "auto");
    EXPECT_EQ(name_of(GateFunction::scaled_silu), "scaled_silu");
}

}  // namespace
}  // namespace gpas
