// The connections between watchers of different nodes: small frames over TCP. They do not use MPI, because MPI may hang
// when the watchers need them.
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
    hello,    // RankStatus: the first frame on a connection
    status,   // RankStatus: the heartbeat
    finding,  // Finding: a lost rank; to rank 0
    collect,  // no payload, from rank 0: send the stacks and last calls of your node's ranks
    details,  // text, to rank 0: the stack and last calls of one rank; an empty text follows the last one
    end,      // no payload, from rank 0: the report is written; end your process
    goodbye,  // no payload: the sender has finished normally
};

struct Frame {
    Message message = Message::status;
    std::string payload;

    // The payload as a T; nothing if its size is not that of T.
    template <class T>
    std::optional<T> as() const {
        if (payload.size() != sizeof(T)) return std::nullopt;
        T value;
        std::memcpy(&value, payload.data(), sizeof value);
        return value;
    }
};

// A connection that never blocks. Each frame carries the job's secret; a frame with another secret closes the
// connection. Not thread-safe. No call throws: an error of the socket closes the connection.
class Link {
public:
    Link(int descriptor, std::uint64_t secret);  // takes ownership of the socket
    Link(Link&& other) = default;
    Link& operator=(Link&&) = delete;

    int descriptor() const { return descriptor_.get(); }
    bool closed() const { return closed_; }
    bool wants_to_write() const { return !output_.empty(); }
    // Queues a frame and sends as much as the socket accepts. Drops the frame if more than 4 MiB are queued: then the
    // peer does not read.
    void send(Message message, std::string_view payload = {});
    template <class T>
        requires(!std::is_convertible_v<const T&, std::string_view>)
    void send(Message message, const T& value) {
        send(message, std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
    }
    // The complete frames that have arrived, in order.
    std::vector<Frame> receive();
    // Sends as much of the queue as the socket accepts.
    void flush();

private:
    Descriptor descriptor_;
    std::uint64_t secret_;
    bool closed_ = false;
    std::string input_, output_;
};

// The addresses, port and secret of rank 0's watcher.
struct MeetingPoint {
    std::vector<std::string> addresses;  // numeric, IPv4 or IPv6
    int port = 0;
    std::uint64_t secret = 0;
};
// Converts a meeting point to a text that rank 0 broadcasts, and back.
std::string text_of(const MeetingPoint& point);
MeetingPoint meeting_point_of(const std::string& text);

// The socket on which rank 0's watcher accepts connections. this_node_only: on the loopback address.
class Listener {
public:
    explicit Listener(bool this_node_only);  // Error(environment)
    int descriptor() const { return descriptor_.get(); }
    const MeetingPoint& point() const { return point_; }
    std::optional<Link> accept();  // nothing if no connection is pending; does not block

private:
    Descriptor descriptor_;
    MeetingPoint point_;
};

// Connects to the first address that answers within `seconds`. Nothing if no address does; then *why = the last error.
std::optional<Link> connect_to(const MeetingPoint& point, double seconds, std::string* why);

}  // namespace gpas
