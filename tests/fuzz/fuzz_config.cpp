// Any text as a configuration, and any as a Hugging Face config.json: taken, or refused with one line.
#include "base/error.hpp"
#include "io/config/describe.hpp"
#include "io/config/load.hpp"
#include "io/hugging_face/config.hpp"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace {

template <class Body>
void taken_or_refused(Body&& body) {
    try {
        body();
    } catch (const gpas::Error& error) {
        if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::string file = "/dev/shm/gpas-fuzz-" + std::to_string(::getpid()) + ".json";
    const std::string text(reinterpret_cast<const char*>(data), size);
    if (!text.empty() && text[0] == '{') {
        std::ofstream(file, std::ios::binary) << text;
        taken_or_refused([&] { gpas::read_hugging_face_config(file, ""); });
    } else {
        taken_or_refused([&] {
            const gpas::LoadedConfig loaded = gpas::load_config_text(text, "fuzz");
            gpas::load_config_text(gpas::dump_config(loaded.values), "fuzz again");
        });
    }
    return 0;
}
