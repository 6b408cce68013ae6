#include "evaluation/logits.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

// Rows are long (128,000 tokens). Code for the oldest processors is several times slower: the
// loader picks the best version for this processor.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && __GNUC__ >= 12 && \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define AUTOCOG_VECTORS \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AUTOCOG_VECTORS
#endif

namespace autocog {

namespace {

// The compiler turns loops over this many independent sums or maxima into vector instructions.
constexpr std::size_t kLanes = 32;
// Sums in float32 are short, for precision. Their sums are in float64.
constexpr std::size_t kBlock = 1024;

// exp(x) for x <= 0, with a relative error below 1e-7; exp(-86), about 4e-38, for x < -86.
// x = n log 2 + r with |r| <= log(2) / 2; exp(r) is a polynomial (coefficients: Cephes, expf).
inline float exponential(float x) {
  x = x > -86.0f ? x : -86.0f;
  // Adding 1.5 * 2^23 rounds to an integer, in the last bits of the sum.
  constexpr float kRound = 12582912.0f;
  const float shifted = x * 1.44269504088896341f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // Multiply by 2^n: add n to the exponent.
  std::uint32_t power, bits;
  std::memcpy(&power, &shifted, sizeof(power));
  std::memcpy(&bits, &p, sizeof(bits));
  bits += power << 23;
  std::memcpy(&p, &bits, sizeof(p));
  return p;
}

struct Maximum {
  float value;
  bool has_nan;
};

AUTOCOG_VECTORS Maximum find_maximum(const float* row, std::size_t width) {
  float top[kLanes];
  std::int32_t nan[kLanes];
  for (std::size_t j = 0; j < kLanes; ++j) {
    top[j] = -std::numeric_limits<float>::infinity();
    nan[j] = 0;
  }
  std::size_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const float value = row[i + j];
      top[j] = value > top[j] ? value : top[j];
      nan[j] |= value != value;
    }
  }
  for (; i < width; ++i) {
    top[0] = row[i] > top[0] ? row[i] : top[0];
    nan[0] |= row[i] != row[i];
  }
  Maximum maximum{top[0], false};
  for (std::size_t j = 0; j < kLanes; ++j) {
    maximum.value = top[j] > maximum.value ? top[j] : maximum.value;
    maximum.has_nan = maximum.has_nan || nan[j] != 0;
  }
  return maximum;
}

// The sum of exp(value - top) over at most kBlock values.
AUTOCOG_VECTORS float sum_of_exponentials(const float* row, std::size_t width, float top) {
  float values[kBlock];
  for (std::size_t i = 0; i < width; ++i) values[i] = exponential(row[i] - top);
  // Independent sums: vector instructions then need no reordering of additions.
  float sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) sums[j] += values[i + j];
  }
  for (; i < width; ++i) sums[0] += values[i];
  float sum = 0;
  for (const float lane : sums) sum += lane;
  return sum;
}

AUTOCOG_VECTORS bool any_above(const float* row, std::size_t width, float threshold) {
  std::int32_t any = 0;
  for (std::size_t i = 0; i < width; ++i) any |= row[i] > threshold;
  return any != 0;
}

}  // namespace

double logsumexp_row(const float* row, std::size_t width) {
  const Maximum top = find_maximum(row, width);
  if (top.has_nan || !std::isfinite(top.value)) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (std::size_t begin = 0; begin < width; begin += kBlock) {
    sum += sum_of_exponentials(row + begin, std::min(kBlock, width - begin), top.value);
  }
  return static_cast<double>(top.value) + std::log(sum);
}

double mask_logsumexp(const float* row, std::size_t width, const std::uint8_t* mask) {
  std::vector<float> allowed;
  for (std::size_t id = 0; id < width; ++id) {
    if ((mask == nullptr || mask[id]) && std::isfinite(row[id])) allowed.push_back(row[id]);
  }
  if (allowed.empty()) return -std::numeric_limits<double>::infinity();
  return logsumexp_row(allowed.data(), allowed.size());
}

std::vector<std::int32_t> top_k_ids(const float* row, std::size_t width, std::size_t count,
                                    const std::uint8_t* mask) {
  std::vector<std::int32_t> ids;
  const auto before = [row](std::int32_t a, std::int32_t b) {
    return row[a] != row[b] ? row[a] > row[b] : a < b;
  };
  const auto is_candidate = [&](std::size_t id) {
    return std::isfinite(row[id]) && (mask == nullptr || mask[id]);
  };
  if (count == 0) return ids;
  // A heap with the smallest value in front. A later id replaces it only if its value is larger:
  // of equal values the lower id wins.
  constexpr std::size_t kChunk = 256;
  float threshold = -std::numeric_limits<float>::infinity();
  for (std::size_t begin = 0; begin < width; begin += kChunk) {
    const std::size_t end = std::min(width, begin + kChunk);
    if (ids.size() == count && !any_above(row + begin, end - begin, threshold)) continue;
    if (mask != nullptr && std::memchr(mask + begin, 1, end - begin) == nullptr) continue;
    for (std::size_t id = begin; id < end; ++id) {
      if (!is_candidate(id)) continue;
      if (ids.size() == count) {
        if (!(row[id] > threshold)) continue;
        std::pop_heap(ids.begin(), ids.end(), before);
        ids.pop_back();
      }
      ids.push_back(static_cast<std::int32_t>(id));
      if (count < width) std::push_heap(ids.begin(), ids.end(), before);
      if (ids.size() == count) threshold = row[ids.front()];
    }
  }
  std::sort(ids.begin(), ids.end(), before);
  return ids;
}

}  // namespace autocog
