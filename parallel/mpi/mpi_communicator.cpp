#include "parallel/mpi/mpi_communicator.hpp"

#include "base/error.hpp"
#include "parallel/mpi/mpi_handle.hpp"
#include "parallel/mpi/mpi_requests.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace gpas {
namespace {

// Counts in MPI-3 are int, so longer messages are divided into pieces of at most this number of elements.
constexpr std::int64_t max_piece_elements = std::int64_t(1) << 28;

// Calls call(offset, count) for the consecutive pieces of [0, elements).
template <class Call>
void in_pieces(std::int64_t elements, Call&& call) {
    for (std::int64_t begin = 0; begin < elements; begin += max_piece_elements)
        call(begin, int(std::min(max_piece_elements, elements - begin)));
}

template <class Combine>
void combine_bf16(void* in, void* inout, int* count, Combine combine) {
    const bf16* a = static_cast<const bf16*>(in);
    bf16* b = static_cast<bf16*>(inout);
    for (int i = 0; i < *count; ++i) b[i] = bf16(combine(float(a[i]), float(b[i])));
}
void sum_bf16(void* in, void* inout, int* count, MPI_Datatype*) {
    combine_bf16(in, inout, count, [](float a, float b) { return a + b; });
}
void max_bf16(void* in, void* inout, int* count, MPI_Datatype*) {
    combine_bf16(in, inout, count, [](float a, float b) { return std::max(a, b); });
}
void min_bf16(void* in, void* inout, int* count, MPI_Datatype*) {
    combine_bf16(in, inout, count, [](float a, float b) { return std::min(a, b); });
}

MPI_Op builtin(ReduceOp op) {
    switch (op) {
        case ReduceOp::sum: return MPI_SUM;
        case ReduceOp::max: return MPI_MAX;
        case ReduceOp::min: return MPI_MIN;
    }
    return MPI_OP_NULL;
}

void* at(const Tensor& tensor, std::int64_t element) {
    return static_cast<char*>(tensor.data) + element * bytes_per_element(tensor.dtype);
}

void require_parts(const char* call, const Tensor& whole, const Tensor& part, int size, const char* what) {
    require(whole.dtype == part.dtype && whole.elements() == part.elements() * size,
            "{} of {}: whole is {}, part is {}, ranks are {}", call, what, whole.describe(), part.describe(), size);
}

bool lies_in(const Tensor& part, const Tensor& whole) {
    const char* begin = static_cast<const char*>(whole.data);
    const char* at_part = static_cast<const char*>(part.data);
    return begin <= at_part && at_part < begin + whole.bytes();
}

}  // namespace

MPI_Comm mpi_handle(const Communicator& group) {
    const auto* mpi = dynamic_cast<const MpiCommunicator*>(&group);
    return mpi != nullptr ? mpi->handle() : MPI_COMM_SELF;
}

MpiCommunicator::MpiCommunicator(MPI_Comm comm) : comm_(comm), name_("world"), job_(std::make_shared<MpiJob>(comm)) {
    set_up();
}

MpiCommunicator::MpiCommunicator(MPI_Comm comm, RankBoard& board)
    : comm_(comm), name_("world"), job_(std::make_shared<MpiJob>(comm, board)) {
    set_up();
}

MpiCommunicator::MpiCommunicator(MPI_Comm comm, std::string name, std::shared_ptr<MpiJob> job)
    : comm_(comm), name_(std::move(name)), job_(std::move(job)) {
    set_up();
}

void MpiCommunicator::set_up() {
    check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", "a communicator");
    check_mpi(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank", "a communicator");
    check_mpi(MPI_Comm_size(comm_, &size_), "MPI_Comm_size", "a communicator");
    check_mpi(MPI_Type_contiguous(2, MPI_BYTE, &bf16_type_), "MPI_Type_contiguous", "bf16");
    check_mpi(MPI_Type_commit(&bf16_type_), "MPI_Type_commit", "bf16");
    check_mpi(MPI_Op_create(sum_bf16, 1, &bf16_sum_), "MPI_Op_create", "bf16 sum");
    check_mpi(MPI_Op_create(max_bf16, 1, &bf16_max_), "MPI_Op_create", "bf16 max");
    check_mpi(MPI_Op_create(min_bf16, 1, &bf16_min_), "MPI_Op_create", "bf16 min");
}

MpiCommunicator::~MpiCommunicator() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized != 0 || job_->failed()) return;
    MPI_Op_free(&bf16_sum_);
    MPI_Op_free(&bf16_max_);
    MPI_Op_free(&bf16_min_);
    MPI_Type_free(&bf16_type_);
    if (comm_ != MPI_COMM_WORLD && comm_ != MPI_COMM_SELF) MPI_Comm_free(&comm_);
}

MPI_Datatype MpiCommunicator::element_type(Dtype dtype) const {
    switch (dtype) {
        case Dtype::fp32: return MPI_FLOAT;
        case Dtype::int32: return MPI_INT32_T;
        case Dtype::fp64: return MPI_DOUBLE;
        case Dtype::bf16: return bf16_type_;
    }
    return MPI_DATATYPE_NULL;
}

MPI_Op MpiCommunicator::reduction(ReduceOp op, Dtype dtype) const {
    if (dtype != Dtype::bf16) return builtin(op);
    return op == ReduceOp::sum ? bf16_sum_ : op == ReduceOp::max ? bf16_max_ : bf16_min_;
}

std::unique_ptr<MpiRequests> MpiCommunicator::begin(const char* op, const char* what, std::string data) {
    const std::int64_t call = job_->rank.calls.begin(name_, op, what, std::move(data));
    return std::make_unique<MpiRequests>(job_, waited_seconds_, call);
}

std::unique_ptr<MpiRequests> MpiCommunicator::begin_collective(const char* op, const char* what, std::string data) {
    auto requests = begin(op, what, std::move(data));
    if (size_ > 1 && job_->rank.waits.verify) verify(requests->call());
    return requests;
}

// Compares a hash of the call's text (operation, name, group, shape) over the group: all hashes are equal if the
// maximum equals the minimum, which is -max(-hash). One all-reduce gives both. If they differ, an all-gather collects
// the texts for the message.
void MpiCommunicator::verify(std::int64_t call) {
    CommCall mine = job_->rank.calls.call(call);
    mine.step = mine.micro_batch = -1;  // pipeline stages may be at different steps and micro-batches
    const std::string text = text_of(mine);
    const std::int64_t hash = std::int64_t(std::hash<std::string>()(text) >> 1);
    std::int64_t extremes[2] = {hash, -hash};
    MPI_Request request = MPI_REQUEST_NULL;
    const auto wait = [&] {
        job_->wait_until(
            [&] {
                int done = 0;
                check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "comparison", mine.what.c_str());
                return done != 0;
            },
            call);
    };
    const auto start = std::chrono::steady_clock::now();
    check_mpi(MPI_Iallreduce(MPI_IN_PLACE, extremes, 2, MPI_INT64_T, MPI_MAX, comm_, &request), "comparison",
              mine.what.c_str());
    wait();
    waited_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (extremes[0] == -extremes[1]) return;

    constexpr std::size_t width = 192;
    std::string all(width * std::size_t(size_), '\0');
    std::string own = text.substr(0, width - 1);
    own.resize(width, '\0');
    check_mpi(MPI_Iallgather(own.data(), int(width), MPI_CHAR, all.data(), int(width), MPI_CHAR, comm_, &request),
              "comparison", mine.what.c_str());
    wait();
    std::string differences;
    for (int rank = 0; rank < std::min(size_, 8); ++rank)
        differences += fmt::format("{}rank {} of the group calls {}", rank ? "; " : "", rank,
                                   all.c_str() + width * std::size_t(rank));
    fail(ExitCode::internal, "the ranks of {} make different calls: {}", name_, differences);
}

std::unique_ptr<MpiRequests> MpiCommunicator::start_reduction(void* data, std::int64_t elements, MPI_Datatype type,
                                                              MPI_Op op, const char* what, std::string text) {
    auto requests = begin_collective("all_reduce", what, std::move(text));
    if (size_ == 1) return requests;
    int bytes = 0;
    MPI_Type_size(type, &bytes);
    in_pieces(elements, [&](std::int64_t begin, int count) {
        requests->started(MPI_Iallreduce(MPI_IN_PLACE, static_cast<char*>(data) + begin * bytes, count, type, op, comm_,
                                         requests->next()));
    });
    return requests;
}

void MpiCommunicator::all_reduce(Tensor data, ReduceOp op, const char* what) {
    if (size_ > 1) start_all_reduce(data, op, what)->wait();
}

void MpiCommunicator::all_reduce(double* values, std::int64_t count, ReduceOp op, const char* what) {
    if (size_ > 1)
        start_reduction(values, count, MPI_DOUBLE, builtin(op), what, fmt::format("fp64[{}]", count))->wait();
}

void MpiCommunicator::all_reduce(std::int64_t* values, std::int64_t count, ReduceOp op, const char* what) {
    if (size_ > 1)
        start_reduction(values, count, MPI_INT64_T, builtin(op), what, fmt::format("int64[{}]", count))->wait();
}

void MpiCommunicator::reduce_scatter(Tensor part, Tensor whole, const char* what) {
    const std::int64_t share = part.elements();
    // Uses MPI's own collective if possible: it does not support a share within `whole`, and its count is an int.
    if (size_ == 1 || lies_in(part, whole) || share > max_piece_elements)
        return start_reduce_scatter(part, whole, what)->wait();
    require_parts("reduce_scatter", whole, part, size_, what);
    const auto requests = begin_collective("reduce_scatter", what, whole.describe());
    requests->started(MPI_Ireduce_scatter_block(whole.data, part.data, int(share), element_type(part.dtype),
                                                reduction(ReduceOp::sum, part.dtype), comm_, requests->next()));
    requests->wait();
}

void MpiCommunicator::all_gather(Tensor whole, Tensor part, const char* what) {
    const std::int64_t share = part.elements();
    if (size_ == 1 || share > max_piece_elements) return start_all_gather(whole, part, what)->wait();
    require_parts("all_gather", whole, part, size_, what);
    const auto requests = begin_collective("all_gather", what, whole.describe());
    void* own_place = at(whole, rank_ * share);
    if (own_place != part.data) std::memcpy(own_place, part.data, std::size_t(part.bytes()));
    requests->started(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, whole.data, int(share),
                                     element_type(part.dtype), comm_, requests->next()));
    requests->wait();
}

void MpiCommunicator::broadcast(void* data, std::int64_t bytes, int root, const char* what) {
    if (size_ == 1) return;
    const auto requests = begin_collective("broadcast", what, fmt::format("{} bytes from rank {}", bytes, root));
    in_pieces(bytes, [&](std::int64_t begin, int count) {
        requests->started(MPI_Ibcast(static_cast<char*>(data) + begin, count, MPI_BYTE, root, comm_, requests->next()));
    });
    requests->wait();
}

void MpiCommunicator::barrier(const char* what) {
    if (size_ == 1) return;
    const auto requests = begin("barrier", what, "");
    requests->started(MPI_Ibarrier(comm_, requests->next()));
    requests->wait();
}

std::unique_ptr<Transfer> MpiCommunicator::start_send(Tensor data, int to, const char* what) {
    auto requests = begin("send", what, fmt::format("{} to rank {}", data.describe(), to));
    in_pieces(data.elements(), [&](std::int64_t begin, int count) {
        requests->started(MPI_Isend(at(data, begin), count, element_type(data.dtype), to, 0, comm_, requests->next()));
    });
    return requests;
}

std::unique_ptr<Transfer> MpiCommunicator::start_receive(Tensor data, int from, const char* what) {
    auto requests = begin("receive", what, fmt::format("{} from rank {}", data.describe(), from));
    in_pieces(data.elements(), [&](std::int64_t begin, int count) {
        requests->expect(element_type(data.dtype), count);
        requests->started(
            MPI_Irecv(at(data, begin), count, element_type(data.dtype), from, 0, comm_, requests->next()));
    });
    return requests;
}

std::unique_ptr<Transfer> MpiCommunicator::start_all_reduce(Tensor data, ReduceOp op, const char* what) {
    return start_reduction(data.data, data.elements(), element_type(data.dtype), reduction(op, data.dtype), what,
                           data.describe());
}

// One MPI_Ireduce per share and piece, to the rank that owns the share.
std::unique_ptr<Transfer> MpiCommunicator::start_reduce_scatter(Tensor part, Tensor whole, const char* what) {
    require_parts("reduce_scatter", whole, part, size_, what);
    auto requests = begin_collective("reduce_scatter", what, whole.describe());
    const std::int64_t share = part.elements();
    void* own_place = at(whole, rank_ * share);
    if (own_place != part.data) {
        require(!lies_in(part, whole),
                "reduce_scatter of {}: part is inside whole, but not where this rank's share belongs", what);
        std::memcpy(part.data, own_place, std::size_t(part.bytes()));
    }
    if (size_ == 1) return requests;
    for (int owner = 0; owner < size_; ++owner)
        in_pieces(share, [&](std::int64_t begin, int count) {
            const void* from = owner == rank_ ? MPI_IN_PLACE : at(whole, owner * share + begin);
            requests->started(MPI_Ireduce(from, at(part, begin), count, element_type(part.dtype),
                                          reduction(ReduceOp::sum, part.dtype), owner, comm_, requests->next()));
        });
    return requests;
}

std::unique_ptr<Transfer> MpiCommunicator::start_all_gather(Tensor whole, Tensor part, const char* what) {
    require_parts("all_gather", whole, part, size_, what);
    auto requests = begin_collective("all_gather", what, whole.describe());
    const std::int64_t share = part.elements();
    void* own_place = at(whole, rank_ * share);
    if (own_place != part.data) std::memcpy(own_place, part.data, std::size_t(part.bytes()));
    if (size_ == 1) return requests;
    for (int owner = 0; owner < size_; ++owner)
        in_pieces(share, [&](std::int64_t begin, int count) {
            requests->started(MPI_Ibcast(at(whole, owner * share + begin), count, element_type(part.dtype), owner,
                                         comm_, requests->next()));
        });
    return requests;
}

// MPI_Comm_split and MPI_Comm_dup block without a timeout. The barrier before them times out if a rank is missing.
std::unique_ptr<Communicator> MpiCommunicator::split(int color, int key, const char* name) {
    barrier("a group to be split");
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(comm_, color, key, &part), "MPI_Comm_split", name);
    return std::unique_ptr<Communicator>(new MpiCommunicator(part, name, job_));
}

std::unique_ptr<Communicator> MpiCommunicator::duplicate() {
    barrier("a group to be duplicated");
    MPI_Comm copy = MPI_COMM_NULL;
    check_mpi(MPI_Comm_dup(comm_, &copy), "MPI_Comm_dup", name_.c_str());
    return std::unique_ptr<Communicator>(new MpiCommunicator(copy, name_, job_));
}

}  // namespace gpas
