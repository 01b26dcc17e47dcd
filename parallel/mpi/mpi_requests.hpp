// The MPI requests of one call. Internal to the MPI communicator.
#pragma once

#include "base/error.hpp"
#include "parallel/communicator.hpp"
#include "parallel/mpi/mpi_handle.hpp"
#include "parallel/mpi/mpi_job.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace gpas {

class MpiRequests final : public Transfer {
public:
    MpiRequests(std::shared_ptr<MpiJob> job, double& waited_seconds, std::int64_t call)
        : job_(std::move(job)), waited_seconds_(waited_seconds), call_(call) {}
    // Waits as wait() does, because MPI uses the buffers until the requests have finished. If they have not finished
    // within the limit of wait(), the requests are abandoned, and the job has failed. This happens if an exception
    // unwinds the stack and another rank therefore never makes its call: that exception is then the error to report, so
    // the errors of this wait are dropped. (A watcher ends the job if the other rank is lost, but not if it ends
    // normally without the call.)
    ~MpiRequests() override {
        if (over_ || job_->failed()) return;
        try {
            wait();
        } catch (const std::exception&) {
        }
    }
    MpiRequests(const MpiRequests&) = delete;
    MpiRequests& operator=(const MpiRequests&) = delete;

    std::int64_t call() const { return call_; }
    // Usage: started(MPI_Isend(…, next())). next() adds a request, started() checks the result.
    MPI_Request* next() { return &requests_.emplace_back(MPI_REQUEST_NULL); }
    void started(int code) {
        if (code != MPI_SUCCESS) check_mpi(code, "MPI", text_of(job_->rank.calls.call(call_)).c_str());
    }
    // The next request is a receive of exactly `count` elements; otherwise wait() throws Error(internal). A call either
    // has an expectation for each of its requests, or none.
    void expect(MPI_Datatype type, int count) {
        type_ = type;
        expected_.push_back(count);
    }

    bool finished() override {
        if (over_) return true;
        statuses_.resize(requests_.size());
        int done = 0;
        const int code = MPI_Testall(int(requests_.size()), requests_.data(), &done, statuses_.data());
        if (done == 0 && code == MPI_SUCCESS) return false;
        over_ = true;
        job_->rank.calls.end(call_);
        settle(code);
        return true;
    }
    void wait() override {
        const auto start = std::chrono::steady_clock::now();
        job_->wait_until([this] { return finished(); }, call_);
        waited_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }

private:
    void settle(int code) {
        const std::string call = text_of(job_->rank.calls.call(call_));
        for (const MPI_Status& status : statuses_)
            if (code == MPI_ERR_IN_STATUS && status.MPI_ERROR != MPI_SUCCESS && status.MPI_ERROR != MPI_ERR_PENDING)
                code = status.MPI_ERROR;
        if (code == MPI_ERR_TRUNCATE) fail(ExitCode::internal, "{}: the message is longer than expected", call);
        if (code != MPI_SUCCESS) check_mpi(code, "MPI", call.c_str());
        for (std::size_t i = 0; i < expected_.size(); ++i) {
            int count = 0;
            MPI_Get_count(&statuses_[i], type_, &count);
            if (count != expected_[i])
                fail(ExitCode::internal, "{}: received {} elements, expected {}", call, count, expected_[i]);
        }
    }

    std::shared_ptr<MpiJob> job_;
    double& waited_seconds_;  // the communicator's; the communicator must outlive its transfers
    std::int64_t call_;
    std::vector<MPI_Request> requests_;
    std::vector<MPI_Status> statuses_;
    MPI_Datatype type_ = MPI_DATATYPE_NULL;
    std::vector<int> expected_;
    bool over_ = false;
};

}  // namespace gpas
