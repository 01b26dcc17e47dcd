// The table of architectures against the papers, and the properties that derive from its rows.
#include "io/config/architecture.hpp"
#include "io/config/enum_names.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

namespace gpas {
namespace {

ModelConfig model_71m(Architecture architecture) {
    ModelConfig model;
    model.architecture = architecture;
    return model;
}

TEST(Architecture, rows_are_those_of_the_table) {
    const auto row = [](Architecture a, std::int64_t layer = 5) { return residual_row(model_71m(a), layer); };
    for (const Architecture a : {Architecture::pre, Architecture::pre_gpas, Architecture::lns, Architecture::lns_gpas,
                                 Architecture::sandwich, Architecture::sandwich_gpas}) {
        EXPECT_TRUE(row(a).pre_norm);
        EXPECT_FALSE(row(a).sum_norm);
        EXPECT_EQ(row(a).branch_norm, a == Architecture::sandwich || a == Architecture::sandwich_gpas);
        EXPECT_EQ(row(a).alpha, 1.0);
    }
    for (const Architecture a :
         {Architecture::post, Architecture::post_gpas, Architecture::deeppost, Architecture::deeppost_gpas}) {
        EXPECT_FALSE(row(a).pre_norm);
        EXPECT_TRUE(row(a).sum_norm);
    }
    for (const Architecture a : {Architecture::reordered, Architecture::reordered_gpas}) {
        EXPECT_FALSE(row(a).pre_norm);
        EXPECT_TRUE(row(a).branch_norm);
        EXPECT_FALSE(row(a).sum_norm);
        EXPECT_EQ(row(a).alpha, 1.0);
    }
    EXPECT_EQ(row(Architecture::reordered_gpas).gate, GatePlace::sum);
    EXPECT_EQ(row(Architecture::pre_gpas).gate, GatePlace::sum);
    EXPECT_EQ(row(Architecture::lns_gpas).gate, GatePlace::sum);
    EXPECT_EQ(row(Architecture::sandwich_gpas).gate, GatePlace::sum);
    EXPECT_EQ(row(Architecture::deeppost_gpas).gate, GatePlace::shortcut);
    EXPECT_EQ(row(Architecture::post_gpas).gate, GatePlace::shortcut);
    EXPECT_DOUBLE_EQ(row(Architecture::deeppost).alpha, std::pow(24.0, 0.25));
    EXPECT_DOUBLE_EQ(row(Architecture::deeppost_gpas).alpha, std::pow(24.0, 0.25));
    EXPECT_EQ(row(Architecture::post).alpha, 1.0);
}

TEST(Architecture, mix_has_post_layers_first) {
    ModelConfig model = model_71m(Architecture::post_pre_gpas);
    for (std::int64_t layer = 0; layer < 12; ++layer) {
        const ResidualRow row = residual_row(model, layer);
        EXPECT_EQ(row.sum_norm, layer < 3);  // a quarter of 12
        EXPECT_EQ(row.gate, layer < 3 ? GatePlace::shortcut : GatePlace::sum);
    }
    model.mix_post_layers = 0;
    EXPECT_TRUE(residual_row(model, 0).pre_norm);
}

TEST(Architecture, layernorm_scaling_stands_in_the_weight_or_in_the_output) {
    ModelConfig model = model_71m(Architecture::lns);
    EXPECT_DOUBLE_EQ(residual_row(model, 0).norm_init, 1.0);
    EXPECT_DOUBLE_EQ(residual_row(model, 3).norm_init, 0.5);
    EXPECT_DOUBLE_EQ(residual_row(model, 3).norm_scale, 1.0);
    model.lns = LnsMode::output;
    EXPECT_DOUBLE_EQ(residual_row(model, 3).norm_init, 1.0);
    EXPECT_DOUBLE_EQ(residual_row(model, 3).norm_scale, 0.5);
}

std::set<std::string> names_of(bool (*have_it)(Architecture)) {
    std::set<std::string> names;
    for (const auto& entry : enum_names<Architecture>())
        if (have_it(entry.value)) names.insert(std::string(entry.name));
    return names;
}

TEST(Architecture, properties_follow_from_the_rows) {
    using Names = std::set<std::string>;
    EXPECT_EQ(names_of(has_gates), Names({"pre_gpas", "lns_gpas", "sandwich_gpas", "deeppost_gpas", "post_pre_gpas",
                                          "post_gpas", "reordered_gpas"}));
    EXPECT_EQ(names_of(scales_norms), Names({"lns", "lns_gpas"}));
    EXPECT_EQ(names_of(mixes_norms), Names({"post_pre", "post_pre_gpas"}));
    EXPECT_EQ(names_of(is_pre_norm_only), Names({"pre", "pre_gpas", "lns", "lns_gpas"}));
    EXPECT_EQ(names_of(has_deepnorm_init), Names({"deeppost"}));
}

}  // namespace
}  // namespace gpas
