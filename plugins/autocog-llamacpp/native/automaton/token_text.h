// Bytes of tokens and texts.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "llama/llama_api.h"
#include "evaluation/evaluator.h"

namespace autocog {

// UTF-8 with U+FFFD for what is none, as Python's decoder has it with errors="replace".
std::string replaced(const std::string& raw);

// Where the first complete stop in `raw` begins; -1 if there is none.
// before: how many bytes were looked at already, and held no complete stop.
int first_stop(const std::string& raw, std::size_t before, const std::vector<std::string>& stops);

// The bytes of tokens, asked of llama.cpp once each.
class Pieces {
 public:
  // special: tokens without bytes.
  Pieces(const Api& api, const llama_vocab* vocab, int size, const Tokens& special);

  const std::string& of(std::int32_t token);
  std::int32_t size() const { return static_cast<std::int32_t>(pieces_.size()); }

 private:
  Api api_;
  const llama_vocab* vocab_;
  std::vector<std::string> pieces_;
  std::vector<char> known_;
};

// How many of `tokens` lie within their first `size` bytes, and what bytes remain of these.
// Where the remaining bytes begin inside a character, they begin with the token that it begins in.
struct Split {
  int kept;
  std::string rest;
};
Split split_tokens(Pieces& pieces, const Tokens& tokens, std::size_t size);

}  // namespace autocog
