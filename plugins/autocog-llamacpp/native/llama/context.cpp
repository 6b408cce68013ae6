#include "llama/context.h"

#include <algorithm>
#include <new>

#include "llama/errors.h"

namespace autocog {

namespace {

constexpr int kNoMemory = -2;
constexpr int kFatal = -3;

}  // namespace

Context::Context(const LlamaApi& api, llama_context* pointer, const volatile char* stop, Limits limits)
    : limits(limits),
      api_(api),
      pointer_(pointer),
      memory_(api.llama_get_memory(pointer)),
      stop_(stop) {}

const float* Context::decode(Batch& batch, std::size_t begin, std::size_t end) {
  check_stop();
  const std::size_t count = end - begin;
  counts_.resize(count);
  ids_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    counts_[i] = batch.last[begin + i] - batch.first[begin + i];
    ids_[i] = batch.sequences.data() + batch.first[begin + i];
  }
  llama_batch arguments{};
  arguments.n_tokens = static_cast<std::int32_t>(count);
  arguments.token = batch.tokens.data() + begin;
  arguments.pos = batch.positions.data() + begin;
  arguments.n_seq_id = counts_.data();
  arguments.seq_id = ids_.data();
  arguments.logits = batch.needs_logits.data() + begin;
  int code = kFatal;
  try {
    code = api_.llama_decode(pointer_, arguments);
  } catch (const std::bad_alloc&) {
    code = kNoMemory;
  } catch (...) {
    code = kFatal;
  }
  if (code == kNoSlot) throw NoSlotError();
  if (code != 0) throw DecodeError(code);
  // Also without rows: the call returns when they are computed.
  return api_.llama_get_logits(pointer_);
}

std::size_t Context::next_batch_size(const Batch& batch, std::size_t begin) const {
  const std::size_t end = std::min(batch.size(), begin + static_cast<std::size_t>(limits.batch));
  int rows = 0;
  for (std::size_t i = begin; i < end; ++i) {
    rows += batch.needs_logits[i] != 0;
    if (rows > limits.rows) return i - begin;
  }
  return end - begin;
}

void Context::copy(int source, int target, int length) const {
  api_.llama_memory_seq_cp(memory_, source, target, 0, length);
}

void Context::truncate(int sequence, int length) const {
  api_.llama_memory_seq_rm(memory_, sequence, length, -1);
}

void Context::remove(int sequence) const { api_.llama_memory_seq_rm(memory_, sequence, -1, -1); }

void Context::clear() const { api_.llama_memory_clear(memory_, true); }

bool Context::is_whole(int sequence) const {
  return api_.llama_memory_seq_pos_min(memory_, sequence) <= 0;
}

void Context::check_stop() const {
  if (*stop_ != 0) throw DecodeError(kAborted);
}

}  // namespace autocog
