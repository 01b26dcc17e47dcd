// Compares two configurations key by key. The role that the schema gives a key (KeyRole) determines what a difference
// means for a run.
#pragma once

#include "io/config/schema.hpp"

#include <initializer_list>
#include <string>
#include <vector>

namespace gpas {

struct KeyChange {
    const KeySpec* key = nullptr;
    std::string before;  // as YAML; an enumeration as its name; 0 and -1 as the number that they stand for
    std::string now;
};

// The keys whose meaning differs between `before` and `now`, in the order of the schema. Two spellings of one meaning
// are equal: model.kv_heads 0 equals the number of heads, and a key without effect never differs.
std::vector<KeyChange> changed_keys(const RunConfig& before, const RunConfig& now);

// The changes of keys that have one of these roles.
std::vector<KeyChange> with_roles(const std::vector<KeyChange>& changes, std::initializer_list<KeyRole> roles);

// "model.rope_base was 10000 and is now 500000; seed was 1 and is now 2"
std::string changes_text(const std::vector<KeyChange>& changes);

}  // namespace gpas
