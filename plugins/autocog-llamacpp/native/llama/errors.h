// Errors. bindings/module.cpp translates each kind to a Python exception.

#pragma once

#include <stdexcept>
#include <string>

namespace autocog {

// llama_decode's return code; llama/context.py has the messages.
struct DecodeError : std::runtime_error {
  explicit DecodeError(int code) : std::runtime_error("llama_decode"), code(code) {}
  int code;
};

constexpr int kNoSlot = 1;
constexpr int kAborted = 2;

// The cells have no room for the batch; nothing was evaluated.
struct NoSlotError : DecodeError {
  NoSlotError() : DecodeError(kNoSlot) {}
};

// A request that is not possible in the current state: the problem, and what to do.
struct RequestError : std::runtime_error {
  RequestError(const std::string& message, std::string hint)
      : std::runtime_error(message), hint(std::move(hint)) {}
  std::string hint;
};

}  // namespace autocog
