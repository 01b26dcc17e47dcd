// Work that may fail on only some ranks. If it fails on one rank, every rank throws the same error, so that no rank
// hangs in a collective that the failed rank never calls.
#pragma once

#include "base/error.hpp"
#include "base/error_of.hpp"
#include "parallel/communicator.hpp"

#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace gpas {

// Collective. Each rank passes its own error, if it has one. If any rank has an error, every rank throws AgreedError
// with the error of the lowest such rank. `what` names the work in reports about waiting ranks.
void agree_on_error(Communicator& group, const std::optional<Error>& error, const char* what = "errors");

// Collective. Runs body() on every rank and returns its result. If body() throws on any rank, every rank throws
// AgreedError with the error of the lowest such rank; error_of() converts other exceptions, so that a shortage of
// memory becomes Error(environment). body() may call collectives only if it reaches them on every rank, also on one
// that fails.
template <class Body>
auto agree(Communicator& group, Body&& body, const char* what = "errors") {
    using Result = std::invoke_result_t<Body>;
    std::optional<Error> error;
    if constexpr (std::is_void_v<Result>) {
        try {
            body();
        } catch (const std::exception& thrown) {
            error = error_of(thrown);
        }
        agree_on_error(group, error, what);
    } else {
        std::optional<Result> result;
        try {
            result.emplace(body());
        } catch (const std::exception& thrown) {
            error = error_of(thrown);
        }
        agree_on_error(group, error, what);
        return std::move(*result);
    }
}

}  // namespace gpas
