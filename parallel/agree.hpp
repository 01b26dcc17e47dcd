// Start-up work that may fail on one rank: all ranks learn of it and end in the same way, none waits for the others.
#pragma once

#include "kernels/error.hpp"
#include "parallel/communicator.hpp"

#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace gpas {

// Throws on every rank, as an AgreedError, the error of the lowest rank that has one. Collective.
void agree_on_error(Communicator& group, const std::optional<Error>& error);

// Runs body() on every rank. If it throws an Error anywhere, every rank throws that of the lowest rank; otherwise its
// result is returned. The body itself must not be collective.
template <class Body>
auto agree(Communicator& group, Body&& body) {
    using Result = std::invoke_result_t<Body>;
    std::optional<Error> error;
    if constexpr (std::is_void_v<Result>) {
        try {
            body();
        } catch (const Error& thrown) {
            error = thrown;
        } catch (const std::exception& thrown) {
            error = Error(ExitCode::internal, thrown.what());
        }
        agree_on_error(group, error);
    } else {
        std::optional<Result> result;
        try {
            result.emplace(body());
        } catch (const Error& thrown) {
            error = thrown;
        } catch (const std::exception& thrown) {
            error = Error(ExitCode::internal, thrown.what());
        }
        agree_on_error(group, error);
        return std::move(*result);
    }
}

}  // namespace gpas
