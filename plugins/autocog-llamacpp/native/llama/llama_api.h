// The functions of llama.cpp that the extension calls, in the library that Python has loaded.
//
// Python passes their addresses. The extension therefore links no library and never loads a second
// copy of llama.cpp.

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

struct LlamaApi {
#define X(name) decltype(&::name) name = nullptr;
  AUTOCOG_LLAMA_FUNCTIONS(X)
#undef X

  // address(name): the address of a function in the loaded library.
  explicit LlamaApi(const std::function<std::uintptr_t(const std::string&)>& address) {
#define X(name) name = reinterpret_cast<decltype(&::name)>(address(#name));
    AUTOCOG_LLAMA_FUNCTIONS(X)
#undef X
  }
};

}  // namespace autocog
