// What goes wrong. Each kind becomes an exception of Python's at the border (module.cpp).

#pragma once

#include <stdexcept>
#include <string>

namespace autocog {

// llama.cpp's own answer to a batch; the words for it are Python's (llama/context.py).
struct DecodeFailure : std::runtime_error {
  explicit DecodeFailure(int code) : std::runtime_error("llama_decode"), code(code) {}
  int code;
};

constexpr int kNoSlot = 1;
constexpr int kAborted = 2;

// The cells hold too much for a batch; nothing was evaluated.
struct NoSlot : DecodeFailure {
  NoSlot() : DecodeFailure(kNoSlot) {}
};

// A request that cannot be served as things are: what, and what to do.
struct Refused : std::runtime_error {
  Refused(const std::string& what, std::string hint)
      : std::runtime_error(what), hint(std::move(hint)) {}
  std::string hint;
};

}  // namespace autocog
