// Which agents hold a connection to this coordinator, and what they said last. Kept by leader and
// standbys alike, so that a new leader has all of them at once.
#pragma once

#include "base/clock.h"
#include "base/ids.h"
#include "base/rpc.h"
#include "protocol/order.h"
#include "protocol/report_change.h"
#include "protocol/worker.capnp.h"

#include <kj/async.h>

#include <map>
#include <optional>
#include <vector>

namespace muster::coordinator {

using AttachmentId = StrongNumber<struct AttachmentIdTag>;  // of one accepted hello

struct Attachment {
  WorkerHello hello;  // its devices' health: of the newest heartbeat
  // Copying a capability counts a reference, which a const one would not let us do.
  mutable schema::Agent::Client agent;
  RpcConnectionId connection;
  AttachmentId id;
  std::vector<RankReport> ranks;  // of the hello or the newest heartbeat
  OrderStamp obeyed;
  SteadyTime heardAt;
};

// Whether a heartbeat said anything that the attachment did not say before.
enum class ReportNews { NONE, SOME };

// Hears what happens to attachments. All methods are called after the registry has changed.
class AttachmentListener {
 public:
  virtual ~AttachmentListener() noexcept(false) = default;
  virtual void attached(const NodeName& node) = 0;
  virtual void reported(const NodeName& node, ReportNews news) = 0;
  virtual void broken(const NodeName& node) = 0;
};

class WorkerRegistry {
 public:
  explicit WorkerRegistry(const Clock& clock) : clock_(clock) {}

  struct Attached {
    AttachmentId id;
    std::optional<RpcConnectionId> replaced;  // the caller closes it before it answers
  };
  Attached attach(WorkerHello hello, schema::Agent::Client agent, RpcConnectionId connection);
  // A heartbeat that tells everything, one that tells what has changed since the attachment's last,
  // and one that nothing has. False when this attachment is not (or no longer) the node's.
  bool report(const NodeName& node, AttachmentId id, NodeReport report);
  bool change(const NodeName& node, AttachmentId id, ReportChange change);
  bool confirm(const NodeName& node, AttachmentId id);
  bool isAttached(const NodeName& node, AttachmentId id) const;
  // The connection is gone; no effect when another attachment has replaced this one.
  void detach(const NodeName& node, AttachmentId id);

  const Attachment* find(const NodeName& node) const;
  const std::map<NodeName, Attachment>& all() const { return attachments_; }

  // At most one: the leadership of the moment. It must outlive its subscription.
  void subscribe(AttachmentListener& listener) { listener_ = &listener; }
  void unsubscribe() { listener_ = nullptr; }

 private:
  Attachment* attachment(const NodeName& node, AttachmentId id);
  void heard(Attachment& attachment, const NodeName& node, ReportNews news);

  const Clock& clock_;
  std::map<NodeName, Attachment> attachments_;
  AttachmentId nextId_{1};
  AttachmentListener* listener_ = nullptr;
};

}  // namespace muster::coordinator
