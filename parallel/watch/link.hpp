// How watchers of different nodes talk: small frames over TCP, beside MPI, which stands still when they are needed.
#pragma once

#include "base/descriptor.hpp"
#include "parallel/watch/finding.hpp"

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gpas {

enum class Message : std::uint32_t {
    hello,    // RankStatus: the first on a connection
    status,   // RankStatus, every heartbeat
    finding,  // Finding: to rank 0
    collect,  // from rank 0: send the stacks of your node
    details,  // text: to rank 0
    end,      // from rank 0: the report is written, end
    goodbye,  // finished in order
};

struct Frame {
    Message message = Message::status;
    std::string payload;

    template <class T>
    std::optional<T> as() const {
        if (payload.size() != sizeof(T)) return std::nullopt;
        T value;
        std::memcpy(&value, payload.data(), sizeof value);
        return value;
    }
};

// A connection that never blocks. Frames carry the job's secret: others are dropped with their connection.
class Link {
public:
    Link(int descriptor, std::uint64_t secret);  // takes the socket over
    Link(Link&& other) = default;
    Link& operator=(Link&&) = delete;

    int descriptor() const { return descriptor_.get(); }
    bool closed() const { return closed_; }
    bool wants_to_write() const { return !output_.empty(); }
    void send(Message message, std::string_view payload = {});
    template <class T>
        requires(!std::is_convertible_v<const T&, std::string_view>)
    void send(Message message, const T& value) {
        send(message, std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
    }
    // Whole frames that have come.
    std::vector<Frame> receive();
    void flush();

private:
    Descriptor descriptor_;
    std::uint64_t secret_;
    bool closed_ = false;
    std::string input_, output_;
};

// Where rank 0's watcher can be reached.
struct MeetingPoint {
    std::vector<std::string> addresses;  // numeric, of IP version 4 or 6
    int port = 0;
    std::uint64_t secret = 0;
};
std::string text_of(const MeetingPoint& point);
MeetingPoint meeting_point_of(const std::string& text);

class Listener {
public:
    explicit Listener(bool this_node_only);  // Error(environment)
    int descriptor() const { return descriptor_.get(); }
    const MeetingPoint& point() const { return point_; }
    std::optional<Link> accept();

private:
    Descriptor descriptor_;
    MeetingPoint point_;
};

// Tries the addresses in turn. Nothing where none answers within `seconds` each; why: the last error.
std::optional<Link> connect_to(const MeetingPoint& point, double seconds, std::string* why);

}  // namespace gpas
