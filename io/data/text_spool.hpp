// Copies streams to disk, for work that reads the text twice. The copies have no file names, so the system frees them
// even if the process is killed.
#pragma once

#include "io/data/text_input.hpp"

#include <string>
#include <vector>

namespace gpas {

class TextSpool {
public:
    // `prefix`: output prefix; the copies are made on its disk.
    explicit TextSpool(std::string prefix) : prefix_(std::move(prefix)) {}
    TextSpool(const TextSpool&) = delete;
    TextSpool& operator=(const TextSpool&) = delete;
    ~TextSpool();

    // Reads the input's stream to its end, and makes the input refer to a file with the uncompressed text. The file
    // exists until the spool is destroyed.
    void take(TextInput& input);

private:
    std::string prefix_;
    std::vector<int> files_;
};

}  // namespace gpas
