// Copies streams to disk, for work that reads the text twice. Nothing stays behind, even if the process is killed: the
// copies have no names.
#pragma once

#include "io/data/text_input.hpp"

#include <string>
#include <vector>

namespace gpas {

class TextSpool {
public:
    explicit TextSpool(std::string prefix) : prefix_(std::move(prefix)) {}  // of the copies, for the choice of the disk
    TextSpool(const TextSpool&) = delete;
    TextSpool& operator=(const TextSpool&) = delete;
    ~TextSpool();

    // Reads a stream to its end and makes the input a file of its (uncompressed) text, readable while the spool lives.
    void take(TextInput& input);

private:
    std::string prefix_;
    std::vector<int> files_;
};

}  // namespace gpas
