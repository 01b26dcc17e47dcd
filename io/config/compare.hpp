// How two configurations differ, key by key; what a difference means for a run follows from the role that the schema
// gives each key.
#pragma once

#include "io/config/schema.hpp"

#include <initializer_list>
#include <string>
#include <vector>

namespace gpas {

struct KeyChange {
    const KeySpec* key = nullptr;
    std::string before;  // as YAML; an enumeration as its name; the number that 0 or -1 stands for
    std::string now;
};

// The keys that mean something else in `now` than in `before`, in the order of the schema. What is only written in
// another way is the same: model.kv_heads 0 and as many as heads; a key without effect.
std::vector<KeyChange> changed_keys(const RunConfig& before, const RunConfig& now);

std::vector<KeyChange> with_roles(const std::vector<KeyChange>& changes, std::initializer_list<KeyRole> roles);

// "model.rope_base was 10000 and is now 500000; seed was 1 and is now 2"
std::string changes_text(const std::vector<KeyChange>& changes);

}  // namespace gpas
