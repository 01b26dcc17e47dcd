#include "parallel/watch/link.hpp"

#include "kernels/error.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <random>
#include <sstream>
#include <utility>

namespace gpas {
namespace {

struct Header {
    std::uint64_t secret;
    Message message;
    std::uint32_t bytes;
};

constexpr std::size_t longest_payload_bytes = std::size_t(1) << 20;
// Of a peer that reads nothing: it is silent, and needs no more news.
constexpr std::size_t most_pending_bytes = std::size_t(1) << 22;

void set_up(int descriptor) {
    fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

std::vector<std::string> own_addresses() {
    ifaddrs* list = nullptr;
    std::vector<std::string> addresses;
    if (getifaddrs(&list) != 0) return addresses;
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET || (entry->ifa_flags & IFF_UP) == 0)
            continue;
        char text[INET_ADDRSTRLEN] = "";
        inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr, text, sizeof text);
        // Other nodes first; the node's own last, for ranks beside this one.
        addresses.insert((entry->ifa_flags & IFF_LOOPBACK) ? addresses.end() : addresses.begin(), text);
    }
    return addresses;
}

sockaddr_in address_of(const std::string& text, int port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(std::uint16_t(port));
    inet_pton(AF_INET, text.c_str(), &address.sin_addr);
    return address;
}

bool connected(int descriptor, const sockaddr_in& address, double seconds) {
    if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
    if (errno != EINPROGRESS) return false;
    pollfd wait{.fd = descriptor, .events = POLLOUT, .revents = 0};
    if (poll(&wait, 1, int(seconds * 1000)) <= 0) {
        errno = ETIMEDOUT;
        return false;
    }
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
    errno = error;
    return error == 0;
}

}  // namespace

Link::Link(int descriptor, std::uint64_t secret) : descriptor_(descriptor), secret_(secret) { set_up(descriptor); }

Link::Link(Link&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      secret_(other.secret_),
      closed_(other.closed_),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)) {}

Link::~Link() {
    if (descriptor_ >= 0) close(descriptor_);
}

void Link::send(Message message, std::string_view payload) {
    if (closed_ || output_.size() > most_pending_bytes) return;
    const Header header{secret_, message, std::uint32_t(payload.size())};
    output_.append(reinterpret_cast<const char*>(&header), sizeof header);
    output_.append(payload);
    flush();
}

void Link::flush() {
    while (!closed_ && !output_.empty()) {
        const ssize_t sent = ::send(descriptor_, output_.data(), output_.size(), MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (sent < 0)
            closed_ = true;
        else
            output_.erase(0, std::size_t(sent));
    }
}

std::vector<Frame> Link::receive() {
    char piece[16384];
    while (!closed_) {
        const ssize_t came = recv(descriptor_, piece, sizeof piece, 0);
        if (came < 0 && errno == EINTR) continue;
        if (came < 0 && errno == EAGAIN) break;
        if (came <= 0)
            closed_ = true;
        else
            input_.append(piece, std::size_t(came));
    }
    std::vector<Frame> frames;
    std::size_t at = 0;
    while (input_.size() - at >= sizeof(Header)) {
        Header header;
        std::memcpy(&header, input_.data() + at, sizeof header);
        if (header.secret != secret_ || header.bytes > longest_payload_bytes) {
            closed_ = true;
            break;
        }
        if (input_.size() - at - sizeof header < header.bytes) break;
        frames.push_back({header.message, input_.substr(at + sizeof header, header.bytes)});
        at += sizeof header + header.bytes;
    }
    input_.erase(0, at);
    return frames;
}

std::string text_of(const MeetingPoint& point) {
    std::string text = fmt::format("{} {}", point.secret, point.port);
    for (const std::string& address : point.addresses) text += " " + address;
    return text;
}

MeetingPoint meeting_point_of(const std::string& text) {
    std::istringstream words(text);
    MeetingPoint point;
    words >> point.secret >> point.port;
    for (std::string address; words >> address;) point.addresses.push_back(address);
    return point;
}

Listener::Listener(bool this_node_only) {
    descriptor_ = socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in any = address_of(this_node_only ? "127.0.0.1" : "0.0.0.0", 0);
    sockaddr_in bound = {};
    socklen_t length = sizeof bound;
    if (descriptor_ < 0 || bind(descriptor_, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 ||
        listen(descriptor_, SOMAXCONN) != 0 ||
        getsockname(descriptor_, reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
        const std::string why = std::strerror(errno);
        if (descriptor_ >= 0) close(descriptor_);
        fail(ExitCode::environment, "a socket for the ranks' watchers: {}", why);
    }
    set_up(descriptor_);
    point_.addresses = this_node_only ? std::vector<std::string>{"127.0.0.1"} : own_addresses();
    point_.port = ntohs(bound.sin_port);
    point_.secret = std::uint64_t(std::random_device{}()) << 32 | std::random_device{}();
}

Listener::~Listener() { close(descriptor_); }

std::optional<Link> Listener::accept() {
    const int descriptor = ::accept(descriptor_, nullptr, nullptr);
    if (descriptor < 0) return std::nullopt;
    return Link(descriptor, point_.secret);
}

std::optional<Link> connect_to(const MeetingPoint& point, double seconds, std::string* why) {
    for (const std::string& text : point.addresses) {
        const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
        if (descriptor < 0) break;
        set_up(descriptor);
        if (connected(descriptor, address_of(text, point.port), seconds)) return Link(descriptor, point.secret);
        if (why != nullptr) *why = fmt::format("{} port {}: {}", text, point.port, std::strerror(errno));
        close(descriptor);
    }
    return std::nullopt;
}

}  // namespace gpas
