// Rewrites a regular expression from tiktoken's dialect to that of tokenizer.json.
#pragma once

#include <string>
#include <string_view>

namespace gpas {

// A pattern that matches under RegexDialect::hugging_face what `pattern` matches under RegexDialect::tiktoken:
// X{n,m}+ becomes (?>X{n,m}), and ^ and $ become \A and \z. The pattern must be valid in tiktoken's dialect.
std::string ruby_pattern(std::string_view pattern);

}  // namespace gpas
