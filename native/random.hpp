// Randomness without a generator's state: numbers that depend on what they are for, the same in all engines.
#pragma once
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "simd.hpp"

namespace schuss::SCHUSS_BUILD {

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15u;

inline std::uint64_t mix(std::uint64_t x) {  // the finalizer of SplitMix64
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

// The order of the rows in one epoch: Fisher and Yates.
inline void shuffle(std::vector<int> &order, std::uint64_t seed, std::uint64_t epoch) {
  const std::uint64_t key = mix(mix(seed + kGolden) + epoch);
  std::iota(order.begin(), order.end(), 0);
  for (std::uint64_t i = order.size() - 1; i > 0; i--)
    std::swap(order[i], order[((mix(key + (i + 1) * kGolden) >> 32) * (i + 1)) >> 32]);
}

// What the dropout of all layers starts from in the step after `step` others.
inline std::uint64_t dropout_key(std::uint64_t seed, std::uint64_t step) {
  return mix(mix(seed + 2 * kGolden) + step);
}

SCHUSS_INLINE inline Uint hash(Uint x) {  // lowbias32 of C. Wellons
  x = (x ^ x >> 16) * 0x7FEB352Du;
  x = (x ^ x >> 15) * 0x846CA68Bu;
  return x ^ x >> 16;
}

// The dropout of one layer in one step: what each element of its output is multiplied by.
class Dropout {
 public:
  Dropout(std::uint64_t key, int layer, double rate) : Dropout(mix(key + layer), rate) {}

  // Of V elements, numbered by row of the batch and unit: row * units + unit.
  SCHUSS_INLINE Vec factor(Uint element) const {
    return hash(hash(element ^ low_) + high_) >= dropped_below_ ? broadcast(kept_) : Vec{};
  }

 private:
  Dropout(std::uint64_t key, double rate)
      : low_(static_cast<unsigned>(key)),
        high_(static_cast<unsigned>(key >> 32)),
        dropped_below_(static_cast<unsigned>(rate * 4294967296.)),
        kept_(static_cast<float>(1 / (1 - rate))) {}

  const unsigned low_, high_, dropped_below_;
  const float kept_;  // so that the expected sum stays
};

}  // namespace schuss::SCHUSS_BUILD
