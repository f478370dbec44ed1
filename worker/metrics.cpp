#include "worker/metrics.h"

#include "base/version.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <utility>
#include <vector>

namespace muster::worker {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

ClientMetric sample(double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  return metric;
}

MetricFamily gauge(std::string name, std::string help, std::vector<ClientMetric> samples) {
  return {std::move(name), std::move(help), prometheus::MetricType::Gauge, std::move(samples)};
}

MetricFamily links(const AgentStatus& status) {
  std::vector<ClientMetric> samples;
  samples.reserve(status.links.size());
  for (const LinkStatus& link : status.links) {
    bool attached = link.state == LinkState::ATTACHED;
    samples.push_back(sample(attached ? 1 : 0, {{"address", link.address}}));
  }
  return gauge("muster_worker_attached", "1 while attached to this coordinator",
               std::move(samples));
}

MetricFamily rankPhases(const AgentStatus& status) {
  std::map<std::string_view, int> counts;
  for (std::string_view phase : replicaPhaseTexts()) counts[phase] = 0;
  for (const RankReport& rank : status.ranks) counts[toText(rank.phase)]++;
  std::vector<ClientMetric> samples;
  samples.reserve(counts.size());
  for (auto [phase, count] : counts) {
    samples.push_back(sample(count, {{"phase", std::string(phase)}}));
  }
  return gauge("muster_worker_ranks", "Ranks of this node by phase", std::move(samples));
}

std::vector<ClientMetric::Label> labelsOf(const NodeInfo& node, const DeviceInfo& device) {
  return {{"node", node.name.value},
          {"gpu", std::to_string(device.index.value)},
          {"uuid", device.uuid}};
}

MetricFamily deviceMemory(const NodeInfo& node) {
  std::vector<ClientMetric> samples;
  samples.reserve(node.devices.size());
  for (const DeviceInfo& device : node.devices) {
    samples.push_back(sample(static_cast<double>(device.memory.count), labelsOf(node, device)));
  }
  return gauge("muster_gpu_memory_total_bytes", "Memory of each device", std::move(samples));
}

MetricFamily deviceHealth(const NodeInfo& node) {
  std::vector<ClientMetric> samples;
  samples.reserve(node.devices.size());
  for (const DeviceInfo& device : node.devices) {
    samples.push_back(sample(device.unhealthy.empty() ? 1 : 0, labelsOf(node, device)));
  }
  return gauge("muster_gpu_healthy", "1 while the device may be used", std::move(samples));
}

}  // namespace

std::string metricsText(const AgentStatus& status, const NodeInfo& node) {
  bool held = status.lease == LeaseState::HELD;
  double left = static_cast<double>(status.leaseRemaining.millis()) / 1000;
  std::vector<MetricFamily> families = {
      gauge("muster_build_info", "Always 1; the labels say what runs",
            {sample(1, {{"version", node.version}, {"commit", COMMIT}})}),
      gauge("muster_worker_lease_held", "1 while a leader's lease is held; 0: isolated",
            {sample(held ? 1 : 0)}),
      gauge("muster_worker_lease_remaining_seconds", "What is left of the lease", {sample(left)}),
      gauge("muster_worker_epoch", "Highest epoch seen",
            {sample(static_cast<double>(status.token.epoch.value))}),
      gauge("muster_worker_order_index", "Log index of the order that is obeyed",
            {sample(static_cast<double>(status.order.index.value))}),
      links(status),
      rankPhases(status),
      deviceMemory(node),
      deviceHealth(node),
  };
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace muster::worker
