#include "engine/commands/options.hpp"

#include "io/config/read_value.hpp"

#include <fmt/format.h>

#include <functional>

namespace gpas {
namespace {

// Adds an option whose value is parsed like a configuration key of this type and range.
CLI::Option* add_value(CLI::App& command, const std::string& name, const KeySpec& key, const ConfigValue& now,
                       const std::string& help, const std::function<void(const ConfigValue&)>& set) {
    const auto parse = [name, key, set](const std::string& text) {
        try {
            set(read_value(key, {.kind = ConfigNode::Kind::scalar, .text = text, .entries = {}}));
        } catch (const std::exception&) {  // its text names a place in a file, which an option does not have
            throw CLI::ValidationError(name,
                                       fmt::format("found {}, expected {}", quote_found(text), describe_type(key)));
        }
    };
    return command.add_option_function<std::string>(name, parse, help)->type_name("N")->default_str(format_value(now));
}

KeySpec key_of(KeyType type, ValueRange range) {
    KeySpec key;
    key.type = type;
    key.range = range;
    return key;
}

}  // namespace

CLI::Option* add_integer(CLI::App& command, const std::string& name, std::int64_t& target, ValueRange range,
                         const std::string& help) {
    return add_value(command, name, key_of(KeyType::integer, range), target, help,
                     [&target](const ConfigValue& value) { target = std::get<std::int64_t>(value); });
}

CLI::Option* add_real(CLI::App& command, const std::string& name, double& target, ValueRange range,
                      const std::string& help) {
    return add_value(command, name, key_of(KeyType::real, range), target, help,
                     [&target](const ConfigValue& value) { target = std::get<double>(value); });
}

CLI::Option* add_seed(CLI::App& command, const std::string& name, std::uint64_t& target, const std::string& help) {
    return add_value(command, name, key_of(KeyType::seed, {}), target, help,
                     [&target](const ConfigValue& value) { target = std::get<std::uint64_t>(value); });
}

}  // namespace gpas
