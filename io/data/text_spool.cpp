#include "io/data/text_spool.hpp"

#include "base/error.hpp"
#include "io/data/output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gpas {

TextSpool::~TextSpool() {
    for (const int file : files_) ::close(file);
}

void TextSpool::take(TextInput& input) {
    const std::string path = fmt::format("{}.{}.{}.spool.partial", prefix_, ::getpid(), files_.size());
    OutputFile copy(path, OutputFile::Mode::create);
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const int error = errno;
    ::unlink(path.c_str());
    if (file < 0) fail(ExitCode::environment, "{}: cannot be opened: {}", path, std::strerror(error));
    files_.push_back(file);
    std::vector<char> block(1 << 20);
    while (const std::int64_t got = input.stream->read(block.data(), std::int64_t(block.size())))
        copy.write(block.data(), got);
    copy.flush();
    input = {fmt::format("/proc/self/fd/{}", file), copy.size_bytes(), "", nullptr, input.name()};
}

}  // namespace gpas
