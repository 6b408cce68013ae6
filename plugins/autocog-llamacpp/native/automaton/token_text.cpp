#include "automaton/token_text.h"

#include <algorithm>

namespace autocog {

namespace {

unsigned char byte_at(const std::string& raw, std::size_t place) {
  return place < raw.size() ? static_cast<unsigned char>(raw[place]) : 0;
}

// How many bytes at `place` belong together, and whether they are a character (Unicode 15, 3.9,
// table 3-7: what is no character ends before the first byte that cannot go on with it).
struct Unit {
  std::size_t size;
  bool valid;
};

Unit unit_at(const std::string& raw, std::size_t place) {
  const unsigned char first = byte_at(raw, place);
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
    const unsigned char next = byte_at(raw, place + i);
    if (place + i >= raw.size() || next < low || next > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {length, true};
}

}  // namespace

std::string replaced(const std::string& raw) {
  std::string text;
  text.reserve(raw.size());
  for (std::size_t place = 0; place < raw.size();) {
    const Unit unit = unit_at(raw, place);
    if (unit.valid) {
      text.append(raw, place, unit.size);
    } else {
      text += "\xEF\xBF\xBD";
    }
    place += unit.size;
  }
  return text;
}

int first_stop(const std::string& raw, std::size_t before, const std::vector<std::string>& stops) {
  // The first to be complete; of several that end at the same byte, the longest.
  std::size_t end = std::string::npos;
  std::size_t start = std::string::npos;
  for (const std::string& stop : stops) {
    const std::size_t from = before + 1 > stop.size() ? before + 1 - stop.size() : 0;
    const std::size_t found = raw.find(stop, from);
    if (found == std::string::npos) continue;
    const std::size_t its_end = found + stop.size();
    if (its_end < end || (its_end == end && found < start)) {
      end = its_end;
      start = found;
    }
  }
  return start == std::string::npos ? -1 : static_cast<int>(start);
}

Pieces::Pieces(const Api& api, const llama_vocab* vocab, int size, const Tokens& special)
    : api_(api), vocab_(vocab), pieces_(size), known_(size, 0) {
  for (const auto token : special) {
    if (token >= 0 && token < size) known_[token] = 1;
  }
}

const std::string& Pieces::of(std::int32_t token) {
  if (!known_[token]) {
    std::string piece(64, '\0');
    while (true) {
      const int length = api_.llama_token_to_piece(
          vocab_, token, piece.data(), static_cast<std::int32_t>(piece.size()), 0, false);
      if (length >= 0) {
        piece.resize(length);
        break;
      }
      piece.resize(-length);
    }
    pieces_[token] = std::move(piece);
    known_[token] = 1;
  }
  return pieces_[token];
}

Split split_tokens(Pieces& pieces, const Tokens& tokens, std::size_t size) {
  std::size_t kept = 0;
  std::size_t used = 0;
  std::string raw;
  for (const auto token : tokens) raw += pieces.of(token);
  while (kept < tokens.size()) {
    const std::size_t more = pieces.of(tokens[kept]).size();
    if (used + more > size) break;
    used += more;
    ++kept;
  }
  size = std::min(size, raw.size());
  const auto inside = [&] {
    return used < size && (static_cast<unsigned char>(raw[used]) & 0xC0) == 0x80;
  };
  while (kept > 0 && inside()) {
    --kept;
    used -= pieces.of(tokens[kept]).size();
  }
  return {static_cast<int>(kept), used < size ? raw.substr(used, size - used) : std::string()};
}

}  // namespace autocog
