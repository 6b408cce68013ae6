#include "automaton/token_text.h"

#include <algorithm>

namespace autocog {

namespace {

unsigned char byte_at(const std::string& raw, std::size_t position) {
  return position < raw.size() ? static_cast<unsigned char>(raw[position]) : 0;
}

// A character, or the longest invalid sequence (Unicode 15, 3.9, table 3-7: it ends before the
// first byte that cannot continue it).
struct Utf8Unit {
  std::size_t size;
  bool valid;
};

Utf8Unit unit_at(const std::string& raw, std::size_t position) {
  const unsigned char first = byte_at(raw, position);
  if (first < 0x80) return {1, true};
  std::size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return {1, false};
  }
  for (std::size_t i = 1; i < length; ++i) {
    const unsigned char next = byte_at(raw, position + i);
    if (position + i >= raw.size() || next < low || next > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {length, true};
}

}  // namespace

std::string decode_utf8_lossy(const std::string& raw) {
  std::string text;
  text.reserve(raw.size());
  for (std::size_t position = 0; position < raw.size();) {
    const Utf8Unit unit = unit_at(raw, position);
    if (unit.valid) {
      text.append(raw, position, unit.size);
    } else {
      text += "\xEF\xBF\xBD";
    }
    position += unit.size;
  }
  return text;
}

int find_first_stop(const std::string& raw, std::size_t before,
                    const std::vector<std::string>& stops) {
  // The stop that is complete first; the longest of several that end at the same byte.
  std::size_t first_end = std::string::npos;
  std::size_t first_start = std::string::npos;
  for (const std::string& stop : stops) {
    const std::size_t from = before + 1 > stop.size() ? before + 1 - stop.size() : 0;
    const std::size_t start = raw.find(stop, from);
    if (start == std::string::npos) continue;
    const std::size_t end = start + stop.size();
    if (end < first_end || (end == first_end && start < first_start)) {
      first_end = end;
      first_start = start;
    }
  }
  return first_start == std::string::npos ? -1 : static_cast<int>(first_start);
}

TokenBytes::TokenBytes(const LlamaApi& api, const llama_vocab* vocab, int size,
                       const Tokens& special)
    : api_(api), vocab_(vocab), bytes_(size), is_loaded_(size, 0) {
  for (const auto token : special) {
    if (token >= 0 && token < size) is_loaded_[token] = 1;
  }
}

const std::string& TokenBytes::of(std::int32_t token) {
  if (!is_loaded_[token]) {
    std::string bytes(64, '\0');
    while (true) {
      const int length = api_.llama_token_to_piece(
          vocab_, token, bytes.data(), static_cast<std::int32_t>(bytes.size()), 0, false);
      if (length >= 0) {
        bytes.resize(length);
        break;
      }
      bytes.resize(-length);
    }
    bytes_[token] = std::move(bytes);
    is_loaded_[token] = 1;
  }
  return bytes_[token];
}

TextSplit split_tokens(TokenBytes& token_bytes, const Tokens& tokens, std::size_t size) {
  std::size_t kept = 0;
  std::size_t used = 0;
  std::string raw;
  for (const auto token : tokens) raw += token_bytes.of(token);
  while (kept < tokens.size()) {
    const std::size_t length = token_bytes.of(tokens[kept]).size();
    if (used + length > size) break;
    used += length;
    ++kept;
  }
  size = std::min(size, raw.size());
  const auto inside_character = [&] {
    return used < size && (static_cast<unsigned char>(raw[used]) & 0xC0) == 0x80;
  };
  while (kept > 0 && inside_character()) {
    --kept;
    used -= token_bytes.of(tokens[kept]).size();
  }
  return {static_cast<int>(kept), used < size ? raw.substr(used, size - used) : std::string()};
}

}  // namespace autocog
