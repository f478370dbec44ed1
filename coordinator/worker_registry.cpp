#include "coordinator/worker_registry.h"

#include <utility>

namespace muster::coordinator {

WorkerRegistry::Attached WorkerRegistry::attach(WorkerHello hello, schema::Agent::Client agent,
                                                RpcConnectionId connection) {
  NodeName node = hello.node.name;
  AttachmentId id = nextId_;
  nextId_ = id.next();
  std::optional<RpcConnectionId> replaced;
  auto found = attachments_.find(node);
  if (found != attachments_.end()) {
    if (found->second.connection != connection) replaced = found->second.connection;
    attachments_.erase(found);
  }
  auto ranks = hello.ranks;
  auto obeyed = hello.highestOrder;
  attachments_.emplace(node, Attachment{std::move(hello), kj::mv(agent), connection, id,
                                        std::move(ranks), obeyed, clock_.steadyNow()});
  if (listener_ != nullptr) listener_->attached(node);
  return {id, replaced};
}

bool WorkerRegistry::report(const NodeName& node, AttachmentId id, NodeReport report) {
  Attachment* known = attachment(node, id);
  if (known == nullptr) return false;
  setUnhealthy(known->hello.node, report.unhealthy);
  known->ranks = std::move(report.ranks);
  known->obeyed = report.obeyed;
  heard(*known, node, ReportNews::SOME);
  return true;
}

bool WorkerRegistry::change(const NodeName& node, AttachmentId id, ReportChange change) {
  Attachment* known = attachment(node, id);
  if (known == nullptr) return false;
  if (change.unhealthy) setUnhealthy(known->hello.node, *change.unhealthy);
  if (change.obeyed) known->obeyed = *change.obeyed;
  takeRanks(known->ranks, std::move(change));
  heard(*known, node, ReportNews::SOME);
  return true;
}

bool WorkerRegistry::confirm(const NodeName& node, AttachmentId id) {
  Attachment* known = attachment(node, id);
  if (known == nullptr) return false;
  heard(*known, node, ReportNews::NONE);
  return true;
}

bool WorkerRegistry::isAttached(const NodeName& node, AttachmentId id) const {
  const Attachment* found = find(node);
  return found != nullptr && found->id == id;
}

Attachment* WorkerRegistry::attachment(const NodeName& node, AttachmentId id) {
  auto found = attachments_.find(node);
  return found == attachments_.end() || found->second.id != id ? nullptr : &found->second;
}

void WorkerRegistry::heard(Attachment& attachment, const NodeName& node, ReportNews news) {
  attachment.heardAt = clock_.steadyNow();
  if (listener_ != nullptr) listener_->reported(node, news);
}

void WorkerRegistry::detach(const NodeName& node, AttachmentId id) {
  auto found = attachments_.find(node);
  if (found == attachments_.end() || found->second.id != id) return;
  attachments_.erase(found);
  if (listener_ != nullptr) listener_->broken(node);
}

const Attachment* WorkerRegistry::find(const NodeName& node) const {
  auto found = attachments_.find(node);
  return found == attachments_.end() ? nullptr : &found->second;
}

}  // namespace muster::coordinator
