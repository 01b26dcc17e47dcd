#include "tests/virtual_gpu/nccl_segment.hpp"

namespace gpas::virtual_gpu {
namespace {

constexpr std::size_t areas_bytes = (sizeof(RankArea) * most_ranks_of_group + 4095) / 4096 * 4096;
constexpr std::size_t all_slots = most_ranks_of_group * 2 + most_ranks_of_group * most_ranks_of_group;

}  // namespace

Segment::Segment(const std::string& name) : file_(name, areas_bytes + all_slots * slot_bytes) {}

RankArea& Segment::rank(int index) const { return static_cast<RankArea*>(file_.data())[index]; }

std::byte* Segment::collective_slot(int rank, std::uint64_t number) const {
    return static_cast<std::byte*>(file_.data()) + areas_bytes + (std::size_t(rank) * 2 + number % 2) * slot_bytes;
}

std::byte* Segment::message_slot(int from, int to) const {
    return static_cast<std::byte*>(file_.data()) + areas_bytes +
           std::size_t(most_ranks_of_group * 2 + from * most_ranks_of_group + to) * slot_bytes;
}

}  // namespace gpas::virtual_gpu
