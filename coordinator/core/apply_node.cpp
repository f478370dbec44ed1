#include "coordinator/core/apply_topics.h"
#include "coordinator/core/time_math.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

void enterReachability(Change& change, NodeState& node, NodePhase phase, const std::string& why) {
  node.reachability = phase;
  node.why = why;
  node.since = change.now;
  node.sinceWall = change.wall;
  change.touch(node.info.name);
  if (phase == NodePhase::READY) noteCapacity(change);
}

void cordon(Change& change, NodeState& node, const std::string& reason) {
  node.cordon = Cordon{change.command.principal, reason, change.now, change.wall};
  change.touch(node.info.name);
}

std::string because(const std::string& text, const std::string& reason) {
  return reason.empty() ? text : text + ": " + reason;
}

void answerNode(Change& change, const NodeState& node) {
  change.setAnswer("{\"node\":\"" + node.info.name.value + "\",\"phase\":\"" +
                   std::string(toText(node.phase())) + "\"}");
}

std::string describe(const NodeInfo& node) {
  Bytes memory;
  for (const auto& device : node.devices) memory += device.memory;
  return std::to_string(node.devices.size()) + " devices, " + toShortText(memory) + ", at " +
         node.address;
}

// Deployments that only waited for ranks of this node.
void finishDeletions(Change& change) {
  std::vector<DeploymentUid> deleting;
  for (const auto& [uid, deployment] : change.state.deployments) {
    if (deployment.deleting) deleting.push_back(uid);
  }
  for (DeploymentUid uid : deleting) finishDeletion(change, uid);
}

}  // namespace

namespace {

const DeviceInfo* sameDevice(const NodeInfo& node, const DeviceInfo& device) {
  auto found = std::ranges::find(node.devices, device.index, &DeviceInfo::index);
  return found == node.devices.end() || found->uuid != device.uuid ? nullptr : &*found;
}

void tellHealth(Change& change, const NodeInfo& before, const NodeInfo& after) {
  for (const DeviceInfo& device : after.devices) {
    const DeviceInfo* known = sameDevice(before, device);
    std::string was = known == nullptr ? "" : known->unhealthy;
    if (was == device.unhealthy) continue;
    std::string name = after.name.value + ":" + std::to_string(device.index.value);
    bool isWell = device.unhealthy.empty();
    change.addEvent(isWell ? Severity::INFO : Severity::ERROR,
                    isWell ? "GpuHealthy" : "GpuUnhealthy", nodeObject(after.name), "",
                    name + ": " + (isWell ? "takes work again" : device.unhealthy));
  }
}

// The same agent tells more of its node than before; it was there all the time.
bool isUpdate(const NodeState& node, const NodeRegistered& body) {
  return node.describedAt.value != 0 && node.agent == body.agent &&
         node.reachability == NodePhase::READY;
}

}  // namespace

void applyBody(Change& change, const NodeRegistered& body) {
  NodeState& node = change.state.nodes[body.node.name];
  tellHealth(change, node.info, body.node);
  if (isUpdate(node, body)) {
    if (node.info != body.node) node.describedAt = change.index;
    node.info = body.node;
    change.touch(body.node.name);
    noteCapacity(change);
    return;
  }
  bool isNew = node.describedAt.value == 0;
  if (isNew || node.info != body.node) node.describedAt = change.index;
  // A new agent gets an order of its own, whatever an older one has stored.
  if (node.agent != body.agent) node.orderIndex = change.index;
  node.info = body.node;
  node.agent = body.agent;
  enterReachability(change, node, NodePhase::READY, "");
  noteCapacity(change);
  change.addEvent(Severity::INFO, isNew ? "NodeRegistered" : "NodeReturned",
                  nodeObject(body.node.name), "", describe(body.node));
}

void applyBody(Change& change, const NodePhaseChanged& body) {
  NodeState& node = change.state.nodes.at(body.node);
  std::string before(toText(node.reachability));
  Duration inIt = std::max(elapsed(node.since, change.now), Duration{});
  enterReachability(change, node, body.phase, body.why);
  node.suspectRemaining = body.phase == NodePhase::UNREACHABLE ? body.suspectRemaining : Duration{};
  Severity severity = body.phase == NodePhase::READY  ? Severity::INFO
                      : body.phase == NodePhase::LOST ? Severity::ERROR
                                                      : Severity::WARNING;
  change.addEvent(severity, "Node" + std::string(toText(body.phase)), nodeObject(body.node), "",
                  because("after " + toAge(inIt) + " " + before, body.why));
  if (body.phase == NodePhase::LOST) finishDeletions(change);
}

void applyBody(Change& change, const NodeCordoned& body) {
  NodeState& node = change.state.nodes.at(body.node);
  cordon(change, node, body.reason);
  change.addEvent(Severity::INFO, "NodeCordoned", nodeObject(body.node), "",
                  because("nothing new is placed here", body.reason));
  answerNode(change, node);
}

void applyBody(Change& change, const NodeUncordoned& body) {
  NodeState& node = change.state.nodes.at(body.node);
  if (node.cordon) {
    node.cordon.reset();
    node.drain = DrainStage::NONE;
    node.drainForced = false;
    change.touch(body.node);
    noteCapacity(change);
    change.addEvent(Severity::INFO, "NodeUncordoned", nodeObject(body.node), "",
                    "takes work again");
  }
  answerNode(change, node);
}

void applyBody(Change& change, const NodeDrainStarted& body) {
  NodeState& node = change.state.nodes.at(body.node);
  cordon(change, node, body.reason);
  node.drain = DrainStage::DRAINING;
  node.drainForced = body.force;
  change.addEvent(Severity::INFO, "NodeDraining", nodeObject(body.node), "",
                  because(body.force ? "its replicas move now" : "its replicas move", body.reason));
  answerNode(change, node);
}

void applyBody(Change& change, const NodeDrained& body) {
  NodeState& node = change.state.nodes.at(body.node);
  node.drain = DrainStage::DRAINED;
  change.touch(body.node);
  change.addEvent(Severity::INFO, "NodeDrained", nodeObject(body.node), "", "nothing runs here");
}

}  // namespace muster::coordinator
