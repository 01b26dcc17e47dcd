#include "parallel/mpi_communicator.hpp"

#include "parallel/mpi_handle.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace gpas {
namespace {

// MPI-3 counts are int: longer messages go in pieces of at most this many elements.
constexpr std::int64_t max_piece_elements = std::int64_t(1) << 28;

// call(offset, count) for consecutive pieces of [0, elements).
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

// The requests of one call.
class MpiTransfer final : public Transfer {
public:
    MpiTransfer(const char* call, const char* what) : call_(call), what_(what) {}
    ~MpiTransfer() override {
        if (!requests_.empty()) MPI_Waitall(int(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
    }
    MpiTransfer(const MpiTransfer&) = delete;
    MpiTransfer& operator=(const MpiTransfer&) = delete;

    MPI_Request* add() { return &requests_.emplace_back(MPI_REQUEST_NULL); }
    // Of each request so far, in elements of this type: what must arrive.
    void expect(MPI_Datatype type, std::vector<int> counts) {
        type_ = type;
        expected_ = std::move(counts);
    }

    void wait() override {
        std::vector<MPI_Status> statuses(requests_.size());
        const int code = MPI_Waitall(int(requests_.size()), requests_.data(), statuses.data());
        settle(code, statuses);
    }
    bool finished() override {
        std::vector<MPI_Status> statuses(requests_.size());
        int done = 0;
        const int code = MPI_Testall(int(requests_.size()), requests_.data(), &done, statuses.data());
        if (done != 0 || code != MPI_SUCCESS) settle(code, statuses);
        return done != 0;
    }

private:
    void settle(int code, const std::vector<MPI_Status>& statuses) {
        for (const MPI_Status& status : statuses)
            if (code == MPI_ERR_IN_STATUS && status.MPI_ERROR != MPI_SUCCESS && status.MPI_ERROR != MPI_ERR_PENDING)
                code = status.MPI_ERROR;
        requests_.clear();
        if (code == MPI_ERR_TRUNCATE) fail(ExitCode::internal, "{} of {}: more was sent than expected", call_, what_);
        check_mpi(code, call_, what_);
        for (std::size_t i = 0; i < statuses.size() && i < expected_.size(); ++i) {
            int count = 0;
            check_mpi(MPI_Get_count(&statuses[i], type_, &count), call_, what_);
            if (count != expected_[i])
                fail(ExitCode::internal, "{} of {}: {} elements came, expected {}", call_, what_, count, expected_[i]);
        }
        expected_.clear();
    }

    const char* call_;
    const char* what_;
    std::vector<MPI_Request> requests_;
    MPI_Datatype type_ = MPI_DATATYPE_NULL;
    std::vector<int> expected_;
};

}  // namespace

void check_mpi(int code, const char* call, const char* what) {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    fail(ExitCode::environment, "{} of {} failed: {}", call, what, std::string(text, std::size_t(length)));
}

MPI_Comm mpi_handle(const Communicator& group) {
    const auto* mpi = dynamic_cast<const MpiCommunicator*>(&group);
    return mpi != nullptr ? mpi->handle() : MPI_COMM_SELF;
}

MpiCommunicator::MpiCommunicator(MPI_Comm comm) : comm_(comm) {
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
    if (finalized != 0) return;
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
        case Dtype::bf16: return bf16_type_;
    }
    return MPI_DATATYPE_NULL;
}

MPI_Op MpiCommunicator::reduction(ReduceOp op, Dtype dtype) const {
    if (dtype != Dtype::bf16) return builtin(op);
    return op == ReduceOp::sum ? bf16_sum_ : op == ReduceOp::max ? bf16_max_ : bf16_min_;
}

void MpiCommunicator::all_reduce(Tensor data, ReduceOp op, const char* what) {
    if (size_ == 1) return;
    in_pieces(data.elements(), [&](std::int64_t begin, int count) {
        check_mpi(MPI_Allreduce(MPI_IN_PLACE, at(data, begin), count, element_type(data.dtype),
                                reduction(op, data.dtype), comm_),
                  "all_reduce", what);
    });
}

void MpiCommunicator::all_reduce(double* values, std::int64_t count, ReduceOp op, const char* what) {
    if (size_ == 1) return;
    in_pieces(count, [&](std::int64_t begin, int n) {
        check_mpi(MPI_Allreduce(MPI_IN_PLACE, values + begin, n, MPI_DOUBLE, builtin(op), comm_), "all_reduce", what);
    });
}

void MpiCommunicator::all_reduce(std::int64_t* values, std::int64_t count, ReduceOp op, const char* what) {
    if (size_ == 1) return;
    in_pieces(count, [&](std::int64_t begin, int n) {
        check_mpi(MPI_Allreduce(MPI_IN_PLACE, values + begin, n, MPI_INT64_T, builtin(op), comm_), "all_reduce", what);
    });
}

void MpiCommunicator::reduce_scatter(Tensor part, Tensor whole, const char* what) {
    require_parts("reduce_scatter", whole, part, size_, what);
    const std::int64_t share = part.elements();
    if (size_ == 1) {
        if (part.data != whole.data) std::memcpy(part.data, whole.data, std::size_t(part.bytes()));
        return;
    }
    if (lies_in(part, whole)) return start_reduce_scatter(part, whole, what)->wait();
    if (share <= max_piece_elements) {
        check_mpi(MPI_Reduce_scatter_block(whole.data, part.data, int(share), element_type(part.dtype),
                                           reduction(ReduceOp::sum, part.dtype), comm_),
                  "reduce_scatter", what);
        return;
    }
    // Shares too long for one call: each rank's share is reduced to its owner, piece by piece.
    for (int owner = 0; owner < size_; ++owner) {
        in_pieces(share, [&](std::int64_t begin, int count) {
            check_mpi(MPI_Reduce(at(whole, owner * share + begin), at(part, begin), count, element_type(part.dtype),
                                 reduction(ReduceOp::sum, part.dtype), owner, comm_),
                      "reduce_scatter", what);
        });
    }
}

void MpiCommunicator::all_gather(Tensor whole, Tensor part, const char* what) {
    require_parts("all_gather", whole, part, size_, what);
    const std::int64_t share = part.elements();
    void* own_place = at(whole, rank_ * share);
    if (own_place != part.data) std::memcpy(own_place, part.data, std::size_t(part.bytes()));
    if (size_ == 1) return;
    if (share <= max_piece_elements) {
        check_mpi(
            MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, whole.data, int(share), element_type(part.dtype), comm_),
            "all_gather", what);
        return;
    }
    for (int owner = 0; owner < size_; ++owner)
        broadcast(at(whole, owner * share), share * bytes_per_element(part.dtype), owner, what);
}

void MpiCommunicator::broadcast(void* data, std::int64_t bytes, int root, const char* what) {
    if (size_ == 1) return;
    in_pieces(bytes, [&](std::int64_t begin, int count) {
        check_mpi(MPI_Bcast(static_cast<char*>(data) + begin, count, MPI_BYTE, root, comm_), "broadcast", what);
    });
}

void MpiCommunicator::barrier(const char* what) {
    if (size_ > 1) check_mpi(MPI_Barrier(comm_), "barrier", what);
}

std::unique_ptr<Transfer> MpiCommunicator::start_send(Tensor data, int to, const char* what) {
    auto transfer = std::make_unique<MpiTransfer>("send", what);
    in_pieces(data.elements(), [&](std::int64_t begin, int count) {
        check_mpi(MPI_Isend(at(data, begin), count, element_type(data.dtype), to, 0, comm_, transfer->add()), "send",
                  what);
    });
    return transfer;
}

std::unique_ptr<Transfer> MpiCommunicator::start_receive(Tensor data, int from, const char* what) {
    auto transfer = std::make_unique<MpiTransfer>("receive", what);
    std::vector<int> counts;
    in_pieces(data.elements(), [&](std::int64_t begin, int count) {
        check_mpi(MPI_Irecv(at(data, begin), count, element_type(data.dtype), from, 0, comm_, transfer->add()),
                  "receive", what);
        counts.push_back(count);
    });
    transfer->expect(element_type(data.dtype), std::move(counts));
    return transfer;
}

std::unique_ptr<Transfer> MpiCommunicator::start_all_reduce(Tensor data, ReduceOp op, const char* what) {
    auto transfer = std::make_unique<MpiTransfer>("all_reduce", what);
    if (size_ == 1) return transfer;
    in_pieces(data.elements(), [&](std::int64_t begin, int count) {
        check_mpi(MPI_Iallreduce(MPI_IN_PLACE, at(data, begin), count, element_type(data.dtype),
                                 reduction(op, data.dtype), comm_, transfer->add()),
                  "all_reduce", what);
    });
    return transfer;
}

// Each rank's share is reduced to its owner. (MPI's own reduce_scatter cannot leave a share in its place.)
std::unique_ptr<Transfer> MpiCommunicator::start_reduce_scatter(Tensor part, Tensor whole, const char* what) {
    require_parts("reduce_scatter", whole, part, size_, what);
    const std::int64_t share = part.elements();
    auto transfer = std::make_unique<MpiTransfer>("reduce_scatter", what);
    void* own_place = at(whole, rank_ * share);
    if (own_place != part.data) {
        require(!lies_in(part, whole), "reduce_scatter of {}: a share lies elsewhere in the whole", what);
        std::memcpy(part.data, own_place, std::size_t(part.bytes()));
    }
    if (size_ == 1) return transfer;
    for (int owner = 0; owner < size_; ++owner)
        in_pieces(share, [&](std::int64_t begin, int count) {
            const void* from = owner == rank_ ? MPI_IN_PLACE : at(whole, owner * share + begin);
            check_mpi(MPI_Ireduce(from, at(part, begin), count, element_type(part.dtype),
                                  reduction(ReduceOp::sum, part.dtype), owner, comm_, transfer->add()),
                      "reduce_scatter", what);
        });
    return transfer;
}

std::unique_ptr<Transfer> MpiCommunicator::start_all_gather(Tensor whole, Tensor part, const char* what) {
    require_parts("all_gather", whole, part, size_, what);
    const std::int64_t share = part.elements();
    auto transfer = std::make_unique<MpiTransfer>("all_gather", what);
    void* own_place = at(whole, rank_ * share);
    if (own_place != part.data) std::memcpy(own_place, part.data, std::size_t(part.bytes()));
    if (size_ == 1) return transfer;
    for (int owner = 0; owner < size_; ++owner)
        in_pieces(share, [&](std::int64_t begin, int count) {
            check_mpi(MPI_Ibcast(at(whole, owner * share + begin), count, element_type(part.dtype), owner, comm_,
                                 transfer->add()),
                      "all_gather", what);
        });
    return transfer;
}

std::unique_ptr<Communicator> MpiCommunicator::split(int color, int key) {
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(comm_, color, key, &part), "MPI_Comm_split", "a communicator");
    return std::make_unique<MpiCommunicator>(part);
}

std::unique_ptr<Communicator> MpiCommunicator::duplicate() {
    MPI_Comm copy = MPI_COMM_NULL;
    check_mpi(MPI_Comm_dup(comm_, &copy), "MPI_Comm_dup", "a communicator");
    return std::make_unique<MpiCommunicator>(copy);
}

}  // namespace gpas
