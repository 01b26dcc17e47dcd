// Makes a KeySpec from a member of a configuration struct and a KeyDetails; used by the schema's own files only.
#pragma once

#include "io/config/enum_names.hpp"
#include "io/config/schema.hpp"

#include <type_traits>
#include <utility>

namespace gpas {

// The fields of a KeySpec that the member's type does not determine.
struct KeyDetails {
    const char* help = "";
    const char* unit = "";
    ValueRange range = {};
    std::vector<std::string> aliases = {};
    const char* unseen = "";
};

// Appends the keys of one section. `Struct` is the part of RunConfig that has the section's members.
template <class Struct>
class SectionBuilder {
public:
    using Access = Struct& (*)(RunConfig&);
    SectionBuilder(std::vector<KeySpec>& keys, std::string name, Access access)
        : keys_(keys), name_(std::move(name)), access_(access) {}

    template <class Member>
    void add(const char* leaf, KeyRole role, Member Struct::* member, KeyDetails details) {
        KeySpec key;
        key.name = name_.empty() ? leaf : name_ + "." + leaf;
        key.section = name_;
        key.leaf = leaf;
        key.role = role;
        key.unit = details.unit;
        key.range = details.range;
        key.help = details.help;
        key.unseen = details.unseen;
        key.aliases = std::move(details.aliases);
        key.type = type_of<Member>();
        if constexpr (std::is_enum_v<Member>) {
            for (const auto& entry : enum_names<Member>()) key.choices.emplace_back(entry.name);
        }
        key.get = [access = access_, member](const RunConfig& config) -> ConfigValue {
            const Member& value = access(const_cast<RunConfig&>(config)).*member;  // read only
            if constexpr (std::is_enum_v<Member>) {
                return std::string(name_of(value));
            } else {
                return value;
            }
        };
        key.set = [access = access_, member](RunConfig& config, const ConfigValue& value) {
            Member& target = access(config).*member;
            if constexpr (std::is_enum_v<Member>) {
                for (const auto& entry : enum_names<Member>()) {
                    if (entry.name == std::get<std::string>(value)) target = entry.value;
                }
            } else {
                target = std::get<Member>(value);
            }
        };
        keys_.push_back(std::move(key));
    }

private:
    template <class Member>
    static constexpr KeyType type_of() {
        if constexpr (std::is_enum_v<Member>) return KeyType::choice;
        if constexpr (std::is_same_v<Member, std::int64_t>) return KeyType::integer;
        if constexpr (std::is_same_v<Member, std::uint64_t>) return KeyType::seed;
        if constexpr (std::is_same_v<Member, double>) return KeyType::real;
        if constexpr (std::is_same_v<Member, bool>) return KeyType::boolean;
        if constexpr (std::is_same_v<Member, std::string>) return KeyType::text;
        if constexpr (std::is_same_v<Member, std::vector<DataSource>>) return KeyType::sources;
        if constexpr (std::is_same_v<Member, std::vector<std::string>>) return KeyType::files;
    }

    std::vector<KeySpec>& keys_;
    std::string name_;
    Access access_;
};

struct SchemaBuilder {
    // In the order of declaration.
    std::vector<SectionSpec> sections;
    std::vector<KeySpec> keys;

    template <class Struct>
    SectionBuilder<Struct> section(const char* name, const char* help, typename SectionBuilder<Struct>::Access access,
                                   bool training_only = false) {
        sections.push_back({name, help, training_only});
        return {keys, name, access};
    }
};

}  // namespace gpas
