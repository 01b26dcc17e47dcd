// The place that sets a configuration value, for error messages.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace gpas {

struct ConfigPlace {
    std::string origin;  // path of a file, or "command line: key=value"
    int line = 0;        // from 1; 0: the place is the origin as a whole
    int column = 0;      // from 1, in bytes
};

// "configs/71m.yaml:12:9", or only the origin if there are no lines.
std::string to_string(const ConfigPlace& place);

// The text on one line: control characters as \xNN.
std::string on_one_line(std::string_view text);

// The beginning of a message about `key`: "file:line:column: key: ". The key is left out if the origin is an override
// that already names it.
std::string message_head(const ConfigPlace& place, std::string_view key);

// A found value for one line of a message: in quotes, control characters escaped, shortened if it is long.
std::string quote_found(std::string_view text);

// Places by dotted key. Keys that no file and no override sets are absent.
using ConfigPlaces = std::map<std::string, ConfigPlace, std::less<>>;

}  // namespace gpas
