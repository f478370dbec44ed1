// Chance as a thing that is handed in, so that a simulation replays from its seed.
#pragma once

#include "base/ids.h"

#include <cstdint>

namespace muster {

class Random {
 public:
  virtual ~Random() noexcept(false) = default;
  virtual uint64_t next() = 0;  // 64 uniform bits

  // Uniform in [0, limit); `limit` at least 1. Multiply-shift: no modulo bias worth speaking of.
  uint64_t below(uint64_t limit) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * limit) >> 64);
  }
  Guid guid() {
    uint64_t high = next();
    uint64_t low = next();
    return {high, low};
  }
};

// splitmix64 (Steele, Lea, Flood, OOPSLA 2014): the source of simulation and tests, equal anywhere.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  uint64_t next() override {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

// The kernel's entropy (getrandom). Throws a kj::Exception when there is none.
class SystemRandom final : public Random {
 public:
  uint64_t next() override;
};

}  // namespace muster
