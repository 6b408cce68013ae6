#include "evaluation/logits.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

// Rows are long (128,000 tokens), and a compiler that may use only what every processor has takes
// several times longer: the best version for this one is picked when the library is loaded.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && __GNUC__ >= 12 && \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define AUTOCOG_VECTORS \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AUTOCOG_VECTORS
#endif

namespace autocog {

namespace {

// Loops over this many independent sums or maxima become vector instructions.
constexpr std::size_t kLanes = 32;
// Sums of float32 are short, so that they stay exact; the sums of these are float64.
constexpr std::size_t kBlock = 1024;

// exp(x) for x <= 0, within 1e-7 of itself; below -86 it is exp(-86), some 4e-38.
// x = n log 2 + r with |r| <= log(2) / 2, where exp is a polynomial (coefficients: Cephes, expf).
inline float exponential(float x) {
  x = x > -86.0f ? x : -86.0f;
  // Adding 1.5 * 2^23 rounds to a whole number, which then is in the last bits.
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
  // Times 2^n: n is added to the exponent.
  std::uint32_t power, bits;
  std::memcpy(&power, &shifted, sizeof(power));
  std::memcpy(&bits, &p, sizeof(bits));
  bits += power << 23;
  std::memcpy(&p, &bits, sizeof(p));
  return p;
}

struct Extent {
  float top;
  bool nan;
};

AUTOCOG_VECTORS Extent extent(const float* row, std::size_t width) {
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
  Extent found{top[0], false};
  for (std::size_t j = 0; j < kLanes; ++j) {
    found.top = top[j] > found.top ? top[j] : found.top;
    found.nan = found.nan || nan[j] != 0;
  }
  return found;
}

// The sum of exp(value - top) over a block of at most kBlock.
AUTOCOG_VECTORS float sum_of_exponentials(const float* row, std::size_t width, float top) {
  float values[kBlock];
  for (std::size_t i = 0; i < width; ++i) values[i] = exponential(row[i] - top);
  // Independent sums, which need no promise that the order of additions does not matter.
  float sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) sums[j] += values[i + j];
  }
  for (; i < width; ++i) sums[0] += values[i];
  float sum = 0;
  for (const float each : sums) sum += each;
  return sum;
}

// Whether anything in a block is above `least`.
AUTOCOG_VECTORS bool reaches(const float* row, std::size_t width, float least) {
  std::int32_t found = 0;
  for (std::size_t i = 0; i < width; ++i) found |= row[i] > least;
  return found != 0;
}

}  // namespace

double total(const float* row, std::size_t width) {
  const Extent found = extent(row, width);
  if (found.nan || !std::isfinite(found.top)) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (std::size_t begin = 0; begin < width; begin += kBlock) {
    sum += sum_of_exponentials(row + begin, std::min(kBlock, width - begin), found.top);
  }
  return static_cast<double>(found.top) + std::log(sum);
}

std::vector<std::int32_t> likeliest(const float* row, std::size_t width, std::size_t count,
                                    const std::uint8_t* mask) {
  std::vector<std::int32_t> ids;
  const auto before = [row](std::int32_t a, std::int32_t b) {
    return row[a] != row[b] ? row[a] > row[b] : a < b;
  };
  const auto possible = [&](std::size_t id) {
    return std::isfinite(row[id]) && (mask == nullptr || mask[id]);
  };
  if (count == 0) return ids;
  // A heap with the least likely one in front. A later token takes its place only if it is
  // likelier, for of equal ones the lower id counts.
  constexpr std::size_t kLook = 256;
  float least = -std::numeric_limits<float>::infinity();
  for (std::size_t begin = 0; begin < width; begin += kLook) {
    const std::size_t end = std::min(width, begin + kLook);
    if (ids.size() == count && !reaches(row + begin, end - begin, least)) continue;
    if (mask != nullptr && std::memchr(mask + begin, 1, end - begin) == nullptr) continue;
    for (std::size_t id = begin; id < end; ++id) {
      if (!possible(id)) continue;
      if (ids.size() == count) {
        if (!(row[id] > least)) continue;
        std::pop_heap(ids.begin(), ids.end(), before);
        ids.pop_back();
      }
      ids.push_back(static_cast<std::int32_t>(id));
      if (count < width) std::push_heap(ids.begin(), ids.end(), before);
      if (ids.size() == count) least = row[ids.front()];
    }
  }
  std::sort(ids.begin(), ids.end(), before);
  return ids;
}

}  // namespace autocog
