#include "gateway/metrics.h"

#include "base/version.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

namespace muster::gateway {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

double seconds(Duration duration) { return static_cast<double>(duration.nanos) / 1e9; }

MetricFamily family(std::string name, std::string help, MetricType type) {
  return {std::move(name), std::move(help), type, {}};
}

void addValue(MetricFamily& family, double value, Labels labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  metric.counter.value = value;
  family.metric.push_back(std::move(metric));
}

void addHistogram(MetricFamily& family, const LatencyHistogram& histogram, Labels labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.histogram.sample_count = histogram.count;
  metric.histogram.sample_sum = seconds(histogram.sum);
  uint64_t cumulative = 0;
  for (size_t i = 0; i < histogram.counts.size(); ++i) {
    cumulative += histogram.counts[i];
    metric.histogram.bucket.push_back({cumulative, seconds(LatencyHistogram::BOUNDS[i])});
  }
  metric.histogram.bucket.push_back({histogram.count, std::numeric_limits<double>::infinity()});
  family.metric.push_back(std::move(metric));
}

Labels labelsOf(const ReplicaRow& row) {
  return {{"tenant", row.tenant}, {"deployment", row.deployment}, {"replica", row.replica}};
}

MetricFamily requestsTotal(const GatewayFacts& facts, std::span<const ReplicaRow> rows) {
  auto out = family("muster_requests_total", "Requests answered, by status", MetricType::Counter);
  for (const auto& row : rows) {
    for (auto [status, count] : row.metrics.answers) {
      Labels labels = labelsOf(row);
      labels.push_back({"code", std::to_string(status)});
      addValue(out, static_cast<double>(count), std::move(labels));
    }
  }
  for (auto [status, count] : facts.own) {
    addValue(
        out, static_cast<double>(count),
        {{"tenant", ""}, {"deployment", ""}, {"replica", ""}, {"code", std::to_string(status)}});
  }
  return out;
}

// One value of each replica.
MetricFamily perReplica(MetricFamily out, std::span<const ReplicaRow> rows,
                        const std::function<double(const ReplicaRow&)>& value) {
  for (const auto& row : rows) addValue(out, value(row), labelsOf(row));
  return out;
}

MetricFamily perReplica(MetricFamily out, std::span<const ReplicaRow> rows,
                        LatencyHistogram ReplicaMetrics::*histogram) {
  for (const auto& row : rows) addHistogram(out, row.metrics.*histogram, labelsOf(row));
  return out;
}

MetricFamily single(std::string name, std::string help, MetricType type, double value) {
  auto out = family(std::move(name), std::move(help), type);
  addValue(out, value);
  return out;
}

void addReplicas(std::vector<MetricFamily>& out, std::span<const ReplicaRow> rows) {
  using enum MetricType;
  out.push_back(perReplica(
      family("muster_requests_running", "Requests that the replica works on for us", Gauge), rows,
      [](const ReplicaRow& row) { return static_cast<double>(row.outstanding); }));
  out.push_back(perReplica(
      family("muster_gateway_backend_failures_total", "Attempts that the replica failed", Counter),
      rows, [](const ReplicaRow& row) { return static_cast<double>(row.metrics.failures); }));
  out.push_back(
      perReplica(family("muster_gateway_backend_ejected", "1 while the replica is left out", Gauge),
                 rows, [](const ReplicaRow& row) { return row.ejected ? 1.0 : 0.0; }));
  out.push_back(perReplica(family("muster_time_to_first_token_seconds",
                                  "From the request to its first token", Histogram),
                           rows, &ReplicaMetrics::timeToFirstToken));
  out.push_back(perReplica(
      family("muster_inter_token_latency_seconds", "Between two tokens of a stream", Histogram),
      rows, &ReplicaMetrics::interTokenLatency));
  out.push_back(perReplica(
      family("muster_request_duration_seconds", "From the request to its end", Histogram), rows,
      &ReplicaMetrics::requestDuration));
}

}  // namespace

void LatencyHistogram::add(Duration duration, uint64_t times) {
  auto bound = std::ranges::lower_bound(BOUNDS, duration);
  if (bound != BOUNDS.end()) counts[static_cast<size_t>(bound - BOUNDS.begin())] += times;
  count += times;
  sum = sum + duration * static_cast<int64_t>(times);
}

void ReplicaMetrics::add(const ReplicaMetrics& other) {
  auto addTo = [](LatencyHistogram& to, const LatencyHistogram& from) {
    for (size_t i = 0; i < to.counts.size(); ++i) to.counts[i] += from.counts[i];
    to.count += from.count;
    to.sum = to.sum + from.sum;
  };
  for (auto [status, count] : other.answers) answers[status] += count;
  failures += other.failures;
  addTo(timeToFirstToken, other.timeToFirstToken);
  addTo(interTokenLatency, other.interTokenLatency);
  addTo(requestDuration, other.requestDuration);
}

std::string metricsText(const GatewayFacts& facts, std::span<const ReplicaRow> rows) {
  using enum MetricType;
  std::vector<MetricFamily> out;
  auto build = family("muster_build_info", "Always 1; the labels say what runs", Gauge);
  addValue(build, 1, {{"version", VERSION}, {"commit", COMMIT}});
  out.push_back(std::move(build));
  out.push_back(requestsTotal(facts, rows));
  addReplicas(out, rows);
  out.push_back(single("muster_gateway_connections", "Connections of clients", Gauge,
                       static_cast<double>(facts.connections)));
  out.push_back(single("muster_gateway_retries_total", "Requests sent to a second replica", Counter,
                       static_cast<double>(facts.retries)));
  out.push_back(single("muster_gateway_watching", "1 while a coordinator tells of changes", Gauge,
                       facts.watching ? 1 : 0));
  out.push_back(single("muster_gateway_view_index", "Log index of the routes in use", Gauge,
                       static_cast<double>(facts.viewIndex)));
  out.push_back(single("muster_gateway_view_age_seconds", "Since a coordinator was last heard",
                       Gauge, facts.viewAgeSeconds));
  return prometheus::TextSerializer().Serialize(out);
}

}  // namespace muster::gateway
