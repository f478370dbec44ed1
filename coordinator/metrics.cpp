#include "coordinator/metrics.h"

#include "base/version.h"
#include "coordinator/core/phase_rules.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <utility>
#include <vector>

namespace muster::coordinator {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

double seconds(Duration duration) { return static_cast<double>(duration.nanos) / 1e9; }

class Families {
 public:
  void begin(std::string name, std::string help, MetricType type) {
    families_.push_back({std::move(name), std::move(help), type, {}});
  }
  void value(double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    metric.counter.value = value;
    families_.back().metric.push_back(std::move(metric));
  }
  void durations(const DurationHistogram& histogram, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.histogram.sample_count = histogram.count;
    metric.histogram.sample_sum = seconds(histogram.sum);
    uint64_t cumulative = 0;
    for (size_t i = 0; i < DurationHistogram::BOUNDS.size(); ++i) {
      cumulative += histogram.counts[i];
      metric.histogram.bucket.push_back({cumulative, seconds(DurationHistogram::BOUNDS[i])});
    }
    metric.histogram.bucket.push_back({histogram.count, std::numeric_limits<double>::infinity()});
    families_.back().metric.push_back(std::move(metric));
  }
  std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  std::vector<MetricFamily> families_;
};

std::string_view toText(failover::SessionState state) {
  switch (state) {
    case failover::SessionState::CONNECTING:
      return "connecting";
    case failover::SessionState::CONNECTED:
      return "connected";
    case failover::SessionState::ENDED:
      return "ended";
  }
  return "ended";
}

void addCoordinator(Families& out, const CoordinatorFacts& facts) {
  out.begin("muster_build_info", "Always 1; the labels say what runs", MetricType::Gauge);
  out.value(1, {{"version", VERSION}, {"commit", COMMIT}});
  out.begin("muster_coordinator_is_leader", "1 while this coordinator serves as leader",
            MetricType::Gauge);
  out.value(facts.stage == Stage::SERVING ? 1 : 0);
  out.begin("muster_coordinator_elections_total", "Elections that this coordinator has won",
            MetricType::Counter);
  out.value(static_cast<double>(facts.elections));
  out.begin("muster_coordinator_guess_takeovers_total",
            "Elections won before the old leader's session had ended", MetricType::Counter);
  out.value(static_cast<double>(facts.guessTakeovers));
  out.begin("muster_coordinator_wrong_guesses_total",
            "Leaders that this coordinator took for dead and that lived", MetricType::Counter);
  out.value(static_cast<double>(facts.wrongGuesses));
  out.begin("muster_zookeeper_session_state", "1 for the state of this coordinator's session",
            MetricType::Gauge);
  for (auto state : {failover::SessionState::CONNECTING, failover::SessionState::CONNECTED,
                     failover::SessionState::ENDED}) {
    out.value(state == facts.session ? 1 : 0, {{"state", std::string(toText(state))}});
  }
}

void addAlarms(Families& out, const CoordinatorFacts& facts) {
  out.begin("muster_alarm", "1 while the alarm is not over", MetricType::Gauge);
  for (AlarmKind kind : ALARM_KINDS) {
    bool isActive = facts.alarms.active().contains(kind);
    out.value(isActive ? 1 : 0, {{"alarm", std::string(toText(kind))}});
  }
  out.begin("muster_alarms_total", "Times an alarm was raised", MetricType::Counter);
  for (AlarmKind kind : ALARM_KINDS) {
    out.value(static_cast<double>(facts.alarms.raised(kind)),
              {{"alarm", std::string(toText(kind))}});
  }
  out.begin("muster_state_rebuilds_total", "Times the state was dropped and made anew",
            MetricType::Counter);
  out.value(static_cast<double>(facts.rebuilds));
}

void addWork(Families& out, const CoordinatorFacts& facts) {
  out.begin("muster_reconcile_duration_seconds", "Time of one look of the leader",
            MetricType::Histogram);
  out.durations(facts.reconcileDuration);
  out.begin("muster_placement_duration_seconds", "Time of the looks that planned replicas",
            MetricType::Histogram);
  out.durations(facts.placementDuration);
  out.begin("muster_placement_failures_total", "Replicas that found no place, by reason",
            MetricType::Counter);
  for (const auto& [reason, count] : facts.placementFailures) {
    out.value(static_cast<double>(count), {{"reason", std::string(toText(reason))}});
  }
}

Labels labelsOf(const DeploymentState& deployment, std::string name, std::string_view value) {
  return {{"tenant", deployment.spec.tenant.value},
          {"deployment", deployment.spec.name.value},
          {std::move(name), std::string(value)}};
}

void addDeployments(Families& out, const State& state) {
  out.begin("muster_deployment_phase", "1 for the phase of each deployment", MetricType::Gauge);
  for (const auto& [uid, deployment] : state.deployments) {
    out.value(1, labelsOf(deployment, "phase", toText(deployment.phase)));
  }
  out.begin("muster_deployment_replicas", "Replicas of each deployment", MetricType::Gauge);
  for (const auto& [uid, deployment] : state.deployments) {
    out.value(deployment.spec.replicas, labelsOf(deployment, "state", "desired"));
    out.value(readyReplicas(deployment), labelsOf(deployment, "state", "ready"));
  }
}

// Devices of a replica where the deployment fixes them; else of one device at least.
uint64_t devicesWanted(const DeploymentSpec& spec) {
  if (spec.gpus) return *spec.gpus;
  const ParallelRequest parallel = parallelOf(spec);
  return uint64_t{parallel.tensor.value_or(1)} * parallel.pipeline.value_or(1);
}

void addPending(Families& out, const State& state) {
  std::map<Reason, uint64_t> pending;
  for (const auto& [uid, deployment] : state.deployments) {
    for (const auto& [number, replica] : deployment.replicas) {
      bool waits = !replica.current && number.value < deployment.spec.replicas;
      if (waits) pending[replica.reason] += devicesWanted(deployment.spec);
    }
  }
  out.begin("muster_pending_gpus", "Devices that replicas without a place ask for, at least",
            MetricType::Gauge);
  for (const auto& [reason, count] : pending) {
    out.value(static_cast<double>(count), {{"reason", std::string(toText(reason))}});
  }
}

void addNodes(Families& out, const State& state) {
  out.begin("muster_node_up", "1 while the node's worker is reached", MetricType::Gauge);
  for (const auto& [name, node] : state.nodes) {
    out.value(node.reachability == NodePhase::READY ? 1 : 0, {{"node", name.value}});
  }
  out.begin("muster_node_cordoned",
            "1 while nothing new is placed on the node by an operator's word", MetricType::Gauge);
  for (const auto& [name, node] : state.nodes) {
    out.value(node.cordon ? 1 : 0, {{"node", name.value}});
  }
}

void addCalls(Families& out, const CallStats& calls) {
  out.begin("muster_rpc_duration_seconds", "Time until a call was answered", MetricType::Histogram);
  for (const auto& [method, histogram] : calls.rpc) {
    out.durations(histogram, {{"method", method}});
  }
  out.begin("muster_rpc_errors_total", "Calls that were refused, by code", MetricType::Counter);
  for (const auto& [key, count] : calls.rpcErrors) {
    out.value(static_cast<double>(count), {{"method", key.first}, {"code", key.second}});
  }
  out.begin("muster_http_request_duration_seconds", "Time until a request was answered",
            MetricType::Histogram);
  for (const auto& [key, histogram] : calls.http) {
    out.durations(histogram, {{"route", key.first}, {"code", std::to_string(key.second)}});
  }
}

}  // namespace

std::string metricsText(const CoordinatorFacts& facts, const CallStats& calls, const State& state) {
  Families out;
  addCoordinator(out, facts);
  addAlarms(out, facts);
  addWork(out, facts);
  addDeployments(out, state);
  addPending(out, state);
  addNodes(out, state);
  addCalls(out, calls);
  return out.text();
}

}  // namespace muster::coordinator
