// Advice about a key that the schema does not know.
#pragma once

#include <string>
#include <string_view>

namespace gpas {

// "did you mean training.steps?", "gpas calls it …", "it belongs to section …", or the list of known names.
// `dotted_name`: the whole unknown name. `value_is_mapping`: the name was used as a section.
std::string advice_for_unknown_key(std::string_view dotted_name, bool value_is_mapping);

// The name with the smallest edit distance to `text`, or "" if no name is near (is_near).
template <class Names>
std::string nearest(std::string_view text, const Names& names);

// The number of insertions, deletions, replacements and swaps of neighbours that turn a into b.
int edit_distance(std::string_view a, std::string_view b);
// Whether the edit distance is small enough for a typing error: at most a third of the longer text, but at least 1.
bool is_near(std::string_view a, std::string_view b);

template <class Names>
std::string nearest(std::string_view text, const Names& names) {
    std::string best;
    int best_distance = 0;
    for (const auto& name : names) {
        const int distance = edit_distance(text, name);
        if (is_near(text, name) && (best.empty() || distance < best_distance)) {
            best = name;
            best_distance = distance;
        }
    }
    return best;
}

}  // namespace gpas
