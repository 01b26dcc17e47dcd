#include "io/data/decompressor.hpp"

#include "base/error.hpp"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <limits>
#include <new>

namespace gpas {
namespace {

using std::string_view_literals::operator""sv;

// zlib and libbz2 count in unsigned int.
unsigned at_most_uint(std::size_t bytes) { return unsigned(std::min<std::size_t>(bytes, UINT_MAX)); }

// The formats that consist of members (streams), with zeros between them and after the last.
class MemberDecompressor : public Decompressor {
public:
    Step step(std::string_view input, char* out, std::size_t bytes) final {
        if (between_members_) {
            if (input.empty()) return {};
            if (input.front() == '\0') return {std::min(input.find_first_not_of('\0'), input.size()), 0, ""};
            begin_member();
            between_members_ = false;
        }
        return member_step(input, out, bytes);
    }
    bool may_end() const final { return between_members_; }

protected:
    virtual void begin_member() = 0;
    virtual Step member_step(std::string_view input, char* out, std::size_t bytes) = 0;
    void end_member() { between_members_ = true; }

private:
    bool between_members_ = true;
};

class Gzip : public MemberDecompressor {
public:
    Gzip() { require(inflateInit2(&stream_, 15 + 16) == Z_OK, "inflateInit2 failed"); }
    ~Gzip() override { inflateEnd(&stream_); }
    Gzip(const Gzip&) = delete;
    Gzip& operator=(const Gzip&) = delete;
    const char* name() const override { return "gzip"; }
    const char* command() const override { return "gzip -dc"; }

private:
    void begin_member() override { require(inflateReset(&stream_) == Z_OK, "inflateReset failed"); }

    Step member_step(std::string_view input, char* out, std::size_t bytes) override {
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
        stream_.avail_in = at_most_uint(input.size());
        stream_.next_out = reinterpret_cast<Bytef*>(out);
        stream_.avail_out = at_most_uint(bytes);
        const unsigned had_in = stream_.avail_in, had_out = stream_.avail_out;
        const int result = inflate(&stream_, Z_NO_FLUSH);
        if (result == Z_MEM_ERROR) throw std::bad_alloc();
        Step step{had_in - stream_.avail_in, had_out - stream_.avail_out, ""};
        if (result == Z_STREAM_END) {
            end_member();
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            step.problem = stream_.msg != nullptr ? stream_.msg : "no gzip member";
        }
        return step;
    }

    z_stream stream_{};
};

class Bzip2 : public MemberDecompressor {
public:
    Bzip2() = default;
    ~Bzip2() override { BZ2_bzDecompressEnd(&stream_); }
    Bzip2(const Bzip2&) = delete;
    Bzip2& operator=(const Bzip2&) = delete;
    const char* name() const override { return "bzip2"; }
    const char* command() const override { return "bzip2 -dc"; }

private:
    void begin_member() override {
        BZ2_bzDecompressEnd(&stream_);
        stream_ = {};
        if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) throw std::bad_alloc();
    }

    Step member_step(std::string_view input, char* out, std::size_t bytes) override {
        stream_.next_in = const_cast<char*>(input.data());
        stream_.avail_in = at_most_uint(input.size());
        stream_.next_out = out;
        stream_.avail_out = at_most_uint(bytes);
        const unsigned had_in = stream_.avail_in, had_out = stream_.avail_out;
        const int result = BZ2_bzDecompress(&stream_);
        if (result == BZ_MEM_ERROR) throw std::bad_alloc();
        Step step{had_in - stream_.avail_in, had_out - stream_.avail_out, ""};
        if (result == BZ_STREAM_END) {
            end_member();
        } else if (result == BZ_DATA_ERROR_MAGIC) {
            step.problem = "no bzip2 stream";
        } else if (result != BZ_OK) {
            step.problem = "a block or its checksum is wrong";
        }
        return step;
    }

    bz_stream stream_{};
};

class Xz : public MemberDecompressor {
public:
    Xz() = default;
    ~Xz() override { lzma_end(&stream_); }
    Xz(const Xz&) = delete;
    Xz& operator=(const Xz&) = delete;
    const char* name() const override { return "xz"; }
    const char* command() const override { return "xz -dc"; }

private:
    void begin_member() override {
        constexpr std::uint64_t any_memory = std::numeric_limits<std::uint64_t>::max();
        if (lzma_stream_decoder(&stream_, any_memory, 0) != LZMA_OK) throw std::bad_alloc();
    }

    Step member_step(std::string_view input, char* out, std::size_t bytes) override {
        stream_.next_in = reinterpret_cast<const std::uint8_t*>(input.data());
        stream_.avail_in = input.size();
        stream_.next_out = reinterpret_cast<std::uint8_t*>(out);
        stream_.avail_out = bytes;
        const lzma_ret result = lzma_code(&stream_, LZMA_RUN);
        if (result == LZMA_MEM_ERROR) throw std::bad_alloc();
        Step step{input.size() - stream_.avail_in, bytes - stream_.avail_out, ""};
        if (result == LZMA_STREAM_END) {
            end_member();
        } else if (result == LZMA_FORMAT_ERROR) {
            step.problem = "no xz stream";
        } else if (result == LZMA_OPTIONS_ERROR) {
            step.problem = "a filter or option that liblzma does not know";
        } else if (result != LZMA_OK && result != LZMA_BUF_ERROR) {
            step.problem = "a block or its checksum is wrong";
        }
        return step;
    }

    lzma_stream stream_ = LZMA_STREAM_INIT;
};

class Zstd : public Decompressor {
public:
    Zstd() : stream_(ZSTD_createDStream()) {
        if (stream_ == nullptr) throw std::bad_alloc();
        ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound);
    }
    ~Zstd() override { ZSTD_freeDStream(stream_); }
    Zstd(const Zstd&) = delete;
    Zstd& operator=(const Zstd&) = delete;
    const char* name() const override { return "zstd"; }
    const char* command() const override { return "zstd -dc"; }
    bool may_end() const override { return between_frames_; }

    Step step(std::string_view input, char* out, std::size_t bytes) override {
        if (between_frames_ && input.empty()) return {};
        ZSTD_inBuffer source{input.data(), input.size(), 0};
        ZSTD_outBuffer target{out, bytes, 0};
        const std::size_t result = ZSTD_decompressStream(stream_, &target, &source);
        between_frames_ = result == 0;
        return {source.pos, target.pos, ZSTD_isError(result) != 0 ? ZSTD_getErrorName(result) : ""};
    }

private:
    ZSTD_DStream* stream_;
    bool between_frames_ = false;
};

// A skippable frame is how files of pzstd begin.
bool begins_zstd(std::string_view head) {
    const bool skippable = !head.empty() && (head.front() & '\xf0') == 0x50 && head.substr(1, 3) == "\x2a\x4d\x18"sv;
    return skippable || head.starts_with("\x28\xb5\x2f\xfd"sv);
}

// The ten bytes before the first checksum. "BZh9" alone may be the beginning of a text.
bool begins_bzip2(std::string_view head) {
    if (head.size() < longest_magic || !head.starts_with("BZh") || head[3] < '1' || head[3] > '9') return false;
    const std::string_view block = head.substr(4, 6);
    return block == "1AY&SY"sv || block == "\x17\x72\x45\x38\x50\x90"sv;  // the latter: no text
}

}  // namespace

std::unique_ptr<Decompressor> decompressor_for(std::string_view head) {
    if (head.starts_with("\x1f\x8b"sv)) return std::make_unique<Gzip>();
    if (begins_zstd(head)) return std::make_unique<Zstd>();
    if (begins_bzip2(head)) return std::make_unique<Bzip2>();
    if (head.starts_with("\xfd"
                         "7zXZ\0"sv))
        return std::make_unique<Xz>();
    return nullptr;
}

}  // namespace gpas
