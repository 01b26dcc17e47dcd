// bench_tokenizer TOKENIZER FILE: encodes the documents of FILE, which zero bytes separate, on one thread, once for each
// line of standard input. Prints for each round a line with the thread's CPU time in seconds and the number of tokens.
// Started by bench/compare_tokenizers.py.
#include "base/error.hpp"
#include "io/data/tokenizer.hpp"

#include <time.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

namespace {

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

std::vector<std::string> documents_of(const char* path) {
    std::ifstream file(path, std::ios::binary);
    std::vector<std::string> documents;
    for (std::string document; std::getline(file, document, '\0');) documents.push_back(std::move(document));
    return documents;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fputs("usage: bench_tokenizer TOKENIZER FILE\n", stderr);
        return 2;
    }
    try {
        const auto tokenizer = gpas::open_tokenizer(argv[1]);
        const std::vector<std::string> documents = documents_of(argv[2]);
        for (std::string line; std::getline(std::cin, line);) {
            const double begin = cpu_seconds();
            std::size_t tokens = 0;
            std::vector<std::vector<std::int32_t>> ids;  // of all documents, as a batch
            for (const std::string& document : documents)
                tokens += ids.emplace_back(tokenizer->encode(document)).size();
            std::printf("%.6f %zu\n", cpu_seconds() - begin, tokens);
            std::fflush(stdout);
        }
    } catch (const gpas::Error& error) {
        std::fprintf(stderr, "bench_tokenizer: %s\n", error.what());
        return 3;
    }
    return 0;
}
