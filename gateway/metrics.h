// What the gateway counts, and the text in which it tells.
#pragma once

#include "base/units.h"

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace muster::gateway {

// Durations by upper bound, as Prometheus wants them.
struct LatencyHistogram {
  static constexpr std::array<Duration, 16> BOUNDS = {1_ms,   2_ms,   5_ms,   10_ms, 20_ms, 50_ms,
                                                      100_ms, 200_ms, 500_ms, 1_s,   2_s,   5_s,
                                                      10_s,   30_s,   60_s,   300_s};

  void add(Duration duration, uint64_t times = 1);

  std::array<uint64_t, BOUNDS.size()> counts{};  // not cumulative
  uint64_t count = 0;
  Duration sum;
};

// Of one generation of a replica, as one thread saw it.
struct ReplicaMetrics {
  std::map<int, uint64_t> answers;    // by status
  uint64_t failures = 0;              // attempts that failed
  LatencyHistogram timeToFirstToken;  // of streams
  LatencyHistogram interTokenLatency;
  LatencyHistogram requestDuration;

  void add(const ReplicaMetrics& other);
};

// One replica for the text.
struct ReplicaRow {
  std::string tenant;
  std::string deployment;
  std::string replica;
  uint64_t outstanding = 0;
  bool ejected = false;
  ReplicaMetrics metrics;
};

struct GatewayFacts {
  uint64_t connections = 0;
  uint64_t retries = 0;
  std::map<int, uint64_t> own;  // answers that no replica gave, by status
  bool watching = false;        // a coordinator's stream is there
  uint64_t viewIndex = 0;
  double viewAgeSeconds = 0;  // since a coordinator was last heard
};

std::string metricsText(const GatewayFacts& facts, std::span<const ReplicaRow> rows);

}  // namespace muster::gateway
