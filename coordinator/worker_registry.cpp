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
  auto found = attachments_.find(node);
  if (found == attachments_.end() || found->second.id != id) return false;
  Attachment& attachment = found->second;
  setUnhealthy(attachment.hello.node, report.unhealthy);
  attachment.ranks = std::move(report.ranks);
  attachment.obeyed = report.obeyed;
  attachment.heardAt = clock_.steadyNow();
  if (listener_ != nullptr) listener_->reported(node);
  return true;
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
