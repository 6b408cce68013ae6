// One llama.cpp context: batches in, logits out, sequences copied and removed.
//
// llama.cpp answers a wrong batch with an assertion that ends the process, so that what goes in is
// right by construction, as in llama/context.py: at most `batch` tokens and `rows` wanted rows in one
// call; positions of a sequence consecutive; tokens of several sequences before those of some.

#pragma once

#include <cstdint>
#include <vector>

#include "llama/llama_api.h"

namespace autocog {

struct Limits {
  int cells;      // tokens of all sequences together
  int sequences;  // how many there may be
  int batch;      // most tokens in one call
  int rows;       // most rows of logits in one call
  int width;      // V: logits in a row
};

// Tokens to evaluate; token i is part of the sequences first[i] .. last[i] - 1 of `sequences`.
struct Batch {
  std::vector<std::int32_t> tokens, positions, sequences, first, last;
  std::vector<std::int8_t> wanted;

  std::size_t size() const { return tokens.size(); }
};

class Context {
 public:
  // stop: not 0 while whatever is at work is to stop.
  Context(const Api& api, llama_context* pointer, const volatile char* stop, Limits limits);

  const Limits limits;

  // Evaluate tokens [begin, end) of a batch; the logits (r, V) after the wanted ones, valid until
  // the next call. Throws NoSlot if the cells are full, DecodeFailure for anything else.
  const float* decode(Batch& batch, std::size_t begin, std::size_t end);

  // How many of the tokens from `begin` on may go into one call.
  std::size_t fitting(const Batch& batch, std::size_t begin) const;

  void copy(int source, int target, int length) const;
  void cut(int sequence, int length) const;
  void remove(int sequence) const;
  void clear() const;
  // Whether all tokens of a sequence are there: a sliding window may have dropped some.
  bool is_whole(int sequence) const;

  // Throws as an interrupted decode does, if whatever is at work is to stop.
  void check_stop() const;

 private:
  Api api_;
  llama_context* pointer_;
  llama_memory_t memory_;
  const volatile char* stop_;
  std::vector<std::int32_t> counts_;
  std::vector<std::int32_t*> ids_;
};

}  // namespace autocog
