// delete, scale, cordon, uncordon, drain: one call each, after a question where something that
// serves would stop.
#include "cli/commands/commands.h"
#include "cli/commands/session.h"
#include "cli/exit_code.h"
#include "protocol/names.h"

namespace muster::cli {
namespace {

DryRun dryRunOf(const Invocation& invocation) {
  return invocation.has("--dry-run") ? DryRun::YES : DryRun::NO;
}

bool mustAsk(const Invocation& invocation) {
  return !invocation.has("--yes") && !invocation.has("--dry-run");
}

Result<int> carryOut(Invocation& invocation, Session& session, ClusterCall call) {
  auto reply = session.ask(std::move(call));
  if (!reply) return reply.refusal();
  return print(invocation, reply->json, [&](const Json& change) {
    return viewChange(change, invocation.has("--dry-run") ? Carried::DRY : Carried::OUT,
                      invocation.view());
  });
}

struct ReplicaCounts {
  uint64_t desired = 0;
  uint64_t ready = 0;
};

Result<ReplicaCounts> replicasOf(Session& session, const std::string& reference) {
  auto reply = session.ask(getCall("deployments", reference));
  if (!reply) return reply.refusal();
  const Json& items = listAt(reply->json, "/items");
  if (items.empty()) {
    return Refusal{
        RefusalCode::NOT_FOUND, "there is no deployment " + reference, {}, {"muster ps"}};
  }
  return ReplicaCounts{numberAt(items[0], "/status/replicas/desired"),
                       numberAt(items[0], "/status/replicas/ready")};
}

Result<std::string> nodeOf(const Invocation& invocation) {
  std::string node = invocation.arguments.word("NODE");
  auto checked = checkName(node, NameKind::NODE);
  if (!checked) return checked.refusal();
  return node;
}

}  // namespace

Result<int> runDelete(Invocation& invocation) {
  auto reference = referenceIn(invocation, invocation.arguments.word("REF"));
  if (!reference) return invocation.wrongUsage(reference.refusal());
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  if (mustAsk(invocation)) {
    auto counts = replicasOf(**session, *reference);
    if (!counts) return counts.refusal();
    std::string consequence = "deleting " + *reference + " stops its replicas, " +
                              std::to_string(counts->ready) + " of " +
                              std::to_string(counts->desired) + " ready";
    auto stop = invocation.terminal.stopUnlessConfirmed(consequence, "delete " + *reference + "?");
    if (stop) return *stop;
  }
  return carryOut(invocation, **session, deleteCall(*reference, dryRunOf(invocation)));
}

Result<int> runScale(Invocation& invocation) {
  if (!invocation.has("--replicas")) {
    return invocation.terminal.failUsage("muster scale needs --replicas N", "muster help scale");
  }
  auto replicas = numberOf(invocation, "--replicas", 0);
  if (!replicas) return invocation.wrongUsage(replicas.refusal());
  auto reference = referenceIn(invocation, invocation.arguments.word("REF"));
  if (!reference) return invocation.wrongUsage(reference.refusal());
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  if (mustAsk(invocation)) {
    auto counts = replicasOf(**session, *reference);
    if (!counts) return counts.refusal();
    if (*replicas < counts->desired) {
      std::string from = std::to_string(counts->desired);
      std::string consequence = "scaling " + *reference + " from " + from + " to " +
                                std::to_string(*replicas) + " stops " +
                                std::to_string(counts->desired - *replicas) + " of its replicas";
      auto stop = invocation.terminal.stopUnlessConfirmed(consequence, "scale it down?");
      if (stop) return *stop;
    }
  }
  return carryOut(invocation, **session, scaleCall(*reference, *replicas, dryRunOf(invocation)));
}

Result<int> runCordon(Invocation& invocation) {
  auto node = nodeOf(invocation);
  if (!node) return invocation.wrongUsage(node.refusal());
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  NodeChange change{*node, invocation.arguments.value("--reason"), dryRunOf(invocation)};
  return carryOut(invocation, **session, cordonCall(change));
}

Result<int> runUncordon(Invocation& invocation) {
  auto node = nodeOf(invocation);
  if (!node) return invocation.wrongUsage(node.refusal());
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  return carryOut(invocation, **session, uncordonCall({*node, "", dryRunOf(invocation)}));
}

Result<int> runDrain(Invocation& invocation) {
  auto node = nodeOf(invocation);
  if (!node) return invocation.wrongUsage(node.refusal());
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  if (mustAsk(invocation)) {
    std::string force = invocation.has("--force") ? ", also below the minimum of a deployment" : "";
    auto stop = invocation.terminal.stopUnlessConfirmed(
        "draining " + *node + " stops the replicas on it once they serve elsewhere" + force,
        "drain " + *node + "?");
    if (stop) return *stop;
  }
  NodeChange change{*node, invocation.arguments.value("--reason"), dryRunOf(invocation)};
  return carryOut(invocation, **session,
                  drainCall(change, invocation.has("--force") ? Force::YES : Force::NO));
}

}  // namespace muster::cli
