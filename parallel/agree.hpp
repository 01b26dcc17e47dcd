// Work that may fail on one rank: all ranks learn of it and end in the same way, none waits for the others.
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

// Throws on every rank, as an AgreedError, the error of the lowest rank that has one. Collective. `what` names the work
// in reports of ranks that wait.
void agree_on_error(Communicator& group, const std::optional<Error>& error, const char* what = "errors");

// Runs body() on every rank. If it throws on any rank, every rank throws the error of the lowest such rank (error_of: a
// shortage of memory is Error(environment)); otherwise its result is returned. The body itself must not be collective,
// unless all ranks reach its collective calls.
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
