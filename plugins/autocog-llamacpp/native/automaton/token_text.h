// Bytes of tokens and texts.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evaluation/evaluator.h"
#include "llama/llama_api.h"

namespace autocog {

// Replace invalid UTF-8 by U+FFFD, as Python's decoder does with errors="replace".
std::string decode_utf8_lossy(const std::string& raw);

// The position of the first complete stop string in `raw`; -1 if there is none.
// before: number of bytes that are known to contain no complete stop.
int find_first_stop(const std::string& raw, std::size_t before,
                    const std::vector<std::string>& stops);

// The bytes of tokens, requested from llama.cpp once each.
class TokenBytes {
 public:
  // special: tokens without bytes.
  TokenBytes(const LlamaApi& api, const llama_vocab* vocab, int size, const Tokens& special);

  const std::string& of(std::int32_t token);
  std::int32_t size() const { return static_cast<std::int32_t>(bytes_.size()); }

 private:
  LlamaApi api_;
  const llama_vocab* vocab_;
  std::vector<std::string> bytes_;
  std::vector<char> is_loaded_;
};

// Tokens cut at a byte: the number of tokens that stay, and the bytes between them and the cut.
struct TextSplit {
  int kept_tokens;
  std::string retokenized_bytes;
};
// Cut `tokens` after `size` bytes. The tokens that stay end on a character boundary.
TextSplit split_tokens(TokenBytes& token_bytes, const Tokens& tokens, std::size_t size);

}  // namespace autocog
