// The functions of llama.cpp that are called: those of the library that is loaded already.
//
// Their addresses come from Python, so that this extension neither links a library nor looks for
// one: there is no second copy of llama.cpp, whatever was imported first.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "llama.h"

#define AUTOCOG_LLAMA_FUNCTIONS(X) \
  X(llama_decode)                  \
  X(llama_get_logits)              \
  X(llama_get_memory)              \
  X(llama_memory_clear)            \
  X(llama_memory_seq_cp)           \
  X(llama_memory_seq_rm)           \
  X(llama_memory_seq_pos_min)      \
  X(llama_token_to_piece)

namespace autocog {

struct Api {
#define X(name) decltype(&::name) name = nullptr;
  AUTOCOG_LLAMA_FUNCTIONS(X)
#undef X

  // address(name): where the loaded library has a function.
  explicit Api(const std::function<std::uintptr_t(const std::string&)>& address) {
#define X(name) name = reinterpret_cast<decltype(&::name)>(address(#name));
    AUTOCOG_LLAMA_FUNCTIONS(X)
#undef X
  }
};

}  // namespace autocog
