// Ranks that fail together: an error of one rank becomes the same error on all, at points that all of them reach.
// Internal to io/checkpoint.
#pragma once

#include "kernels/error.hpp"
#include "parallel/communicator.hpp"

#include <optional>

namespace gpas {

// Collective. Throws on every rank what the lowest rank with an error has, if any.
void agree(Communicator& group, const std::optional<Error>& mine, const char* what);

// Runs body() on this rank, then agrees. No collective call may stand inside body, unless all ranks reach it.
template <class Body>
void together(Communicator& group, const char* what, Body&& body) {
    std::optional<Error> error;
    try {
        body();
    } catch (const Error& caught) {
        error = caught;
    } catch (const std::bad_alloc&) {
        error = Error(ExitCode::environment, fmt::format("{}: out of memory", what));
    } catch (const std::exception& caught) {
        error = Error(ExitCode::environment, fmt::format("{}: {}", what, caught.what()));
    }
    agree(group, error, what);
}

}  // namespace gpas
