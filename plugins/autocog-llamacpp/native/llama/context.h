// A llama.cpp context: decodes batches, copies and removes sequences.
//
// llama.cpp aborts the process on an invalid batch. Callers must therefore keep the rules of
// llama/context.py: at most `batch` tokens and `rows` rows of logits in one call; consecutive
// positions in a sequence; tokens of several sequences before tokens of fewer.

#pragma once

#include <cstdint>
#include <vector>

#include "llama/llama_api.h"

namespace autocog {

struct Limits {
  int cells;      // tokens of all sequences together
  int sequences;  // maximum number of sequences
  int batch;      // maximum number of tokens in one call
  int rows;       // maximum number of rows of logits in one call
  int width;      // V: logits in a row
};

// Tokens to evaluate. Token i belongs to sequences[first[i]] .. sequences[last[i] - 1].
struct Batch {
  std::vector<std::int32_t> tokens, positions, sequences, first, last;
  std::vector<std::int8_t> needs_logits;

  std::size_t size() const { return tokens.size(); }
};

class Context {
 public:
  // stop: nonzero to stop the current call.
  Context(const LlamaApi& api, llama_context* pointer, const volatile char* stop, Limits limits);

  const Limits limits;

  // Evaluate tokens [begin, end) of a batch. Returns the logits (r, V) of the tokens that need
  // them, valid until the next call. Throws NoSlotError if the cells are full, else DecodeError.
  const float* decode(Batch& batch, std::size_t begin, std::size_t end);

  // The number of tokens from `begin` on that fit into one call.
  std::size_t next_batch_size(const Batch& batch, std::size_t begin) const;

  void copy(int source, int target, int length) const;
  void truncate(int sequence, int length) const;
  void remove(int sequence) const;
  void clear() const;
  // Whether all tokens of a sequence are in memory: a sliding window may have removed some.
  bool is_whole(int sequence) const;

  // Throw the error of an interrupted decode if `stop` is set.
  void check_stop() const;

 private:
  LlamaApi api_;
  llama_context* pointer_;
  llama_memory_t memory_;
  const volatile char* stop_;
  std::vector<std::int32_t> counts_;
  std::vector<std::int32_t*> ids_;
};

}  // namespace autocog
