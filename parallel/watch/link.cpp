#include "parallel/watch/link.hpp"

#include "base/error.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
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

// The limit of buffered input. The longest frame fits.
constexpr std::size_t most_at_once_bytes = std::size_t(1) << 21;
constexpr std::size_t longest_payload_bytes = std::size_t(1) << 20;
// The limit of queued output. A peer that does not read reaches it; further frames would not help it.
constexpr std::size_t most_pending_bytes = std::size_t(1) << 22;

void set_up(int descriptor) {
    fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// An IPv4 or IPv6 address.
struct Address {
    sockaddr_storage storage = {};
    socklen_t bytes = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    int family() const { return storage.ss_family; }
};

std::optional<Address> address_of(const std::string& text, int port) {
    addrinfo hints = {};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(text.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return std::nullopt;
    Address address;
    std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    address.bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return address;
}

std::vector<std::string> own_addresses() {
    ifaddrs* list = nullptr;
    std::vector<std::string> addresses;
    if (getifaddrs(&list) != 0) return addresses;
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
        const int family = entry->ifa_addr == nullptr ? AF_UNSPEC : entry->ifa_addr->sa_family;
        if ((family != AF_INET && family != AF_INET6) || (entry->ifa_flags & IFF_UP) == 0) continue;
        // Other nodes cannot use a link-local address without the name of their own interface.
        if (family == AF_INET6 &&
            IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr)->sin6_addr))
            continue;
        char text[NI_MAXHOST] = "";
        const socklen_t bytes = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        if (getnameinfo(entry->ifa_addr, bytes, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
        // Loopback addresses last: only ranks of this node can use them.
        addresses.insert((entry->ifa_flags & IFF_LOOPBACK) ? addresses.end() : addresses.begin(), text);
    }
    return addresses;
}

bool connected(int descriptor, const Address& address, double seconds) {
    if (connect(descriptor, address.get(), address.bytes) == 0) return true;
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

void Link::send(Message message, std::string_view payload) {
    if (closed_ || output_.size() > most_pending_bytes) return;
    const Header header{secret_, message, std::uint32_t(payload.size())};
    output_.append(reinterpret_cast<const char*>(&header), sizeof header);
    output_.append(payload);
    flush();
}

void Link::flush() {
    while (!closed_ && !output_.empty()) {
        const ssize_t sent = ::send(descriptor_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (sent < 0)
            closed_ = true;
        else
            output_.erase(0, std::size_t(sent));
    }
}

std::vector<Frame> Link::receive() {
    char piece[16384];
    // The limit keeps a peer that sends endlessly from holding the watcher in this loop.
    for (std::size_t most = most_at_once_bytes; !closed_ && input_.size() < most;) {
        const ssize_t came = recv(descriptor_.get(), piece, sizeof piece, 0);
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
    // An IPv6 socket accepts IPv4 connections, too (IPV6_V6ONLY off). Nodes without IPv6 get an IPv4 socket.
    const std::vector<std::string> choices =
        this_node_only ? std::vector<std::string>{"127.0.0.1", "::1"} : std::vector<std::string>{"::", "0.0.0.0"};
    std::string why = "no address";
    for (const std::string& choice : choices) {
        const auto any = address_of(choice, 0);
        descriptor_ = Descriptor(any ? socket(any->family(), SOCK_STREAM, 0) : -1);
        const int off = 0;
        if (descriptor_ && any->family() == AF_INET6 && !this_node_only)
            setsockopt(descriptor_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        sockaddr_storage bound = {};
        socklen_t length = sizeof bound;
        if (descriptor_ && bind(descriptor_.get(), any->get(), any->bytes) == 0 &&
            listen(descriptor_.get(), SOMAXCONN) == 0 &&
            getsockname(descriptor_.get(), reinterpret_cast<sockaddr*>(&bound), &length) == 0) {
            set_up(descriptor_.get());
            point_.port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                                            : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
            point_.addresses = this_node_only ? std::vector<std::string>{choice} : own_addresses();
            point_.secret = std::uint64_t(std::random_device{}()) << 32 | std::random_device{}();
            return;
        }
        why = std::strerror(errno);
        descriptor_.reset();
    }
    fail(ExitCode::environment, "a socket for the ranks' watchers: {}", why);
}

std::optional<Link> Listener::accept() {
    const int descriptor = ::accept(descriptor_.get(), nullptr, nullptr);
    if (descriptor < 0) return std::nullopt;
    return Link(descriptor, point_.secret);
}

std::optional<Link> connect_to(const MeetingPoint& point, double seconds, std::string* why) {
    for (const std::string& text : point.addresses) {
        const auto address = address_of(text, point.port);
        const int descriptor = address ? socket(address->family(), SOCK_STREAM, 0) : -1;
        if (descriptor < 0) continue;  // this node lacks that IP version
        set_up(descriptor);
        if (connected(descriptor, *address, seconds)) return Link(descriptor, point.secret);
        if (why != nullptr) *why = fmt::format("{} port {}: {}", text, point.port, std::strerror(errno));
        close(descriptor);
    }
    return std::nullopt;
}

}  // namespace gpas
