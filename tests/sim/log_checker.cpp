#include "tests/sim/log_checker.h"

#include "coordinator/core/core.h"
#include "coordinator/core/invariants.h"
#include "failover/paths.h"
#include "protocol/codec.h"

namespace muster::sim {
namespace {

constexpr const char* ONE_LEADER = "one leader's commands per epoch, and epochs only grow";
constexpr const char* DENSE = "the log is dense and chained";
constexpr const char* ONCE = "a request takes effect at most once";
constexpr const char* INVARIANTS = "the state keeps its invariants";
constexpr uint64_t FULL_CHECK_EVERY = 50;  // batches: making everything derived anew takes long

}  // namespace

LogChecker::LogChecker(World& world, const ClusterName& cluster)
    : world_(world), prefix_(failover::Paths(cluster).log() + "/") {}

void LogChecker::committed(const Transaction& transaction) {
  for (const TreeChange& change : transaction.changes) {
    if (!change.path.starts_with(prefix_)) continue;
    if (comesBack(change)) continue;
    if (change.created) {
      take(*change.node->data);
    } else {
      world_.violated(DENSE, change.path + " was changed or removed");
    }
  }
}

void LogChecker::replaced(const SimTree& before, const SimTree& after) {
  for (const auto& [path, node] : before.nodes()) {
    if (path.starts_with(prefix_) && after.find(path) == nullptr) lost_[path] = *node.data;
  }
  for (const auto& [path, node] : after.nodes()) {
    auto found = lost_.find(path);
    if (found != lost_.end() && found->second == *node.data) lost_.erase(found);
  }
  hasLost_ = true;
}

// True for a batch that was lost and is written again.
bool LogChecker::comesBack(const TreeChange& change) {
  auto found = lost_.find(change.path);
  if (found == lost_.end() || !change.created) return false;
  if (*change.node->data != found->second) {
    world_.violated("what the service lost is written again as it was",
                    change.path + " holds other bytes than before");
  }
  lost_.erase(found);
  return true;
}

void LogChecker::take(const ByteString& bytes) {
  Batch batch = decodeBatch(bytes);
  if (hashes_.size() == 1) {
    state_ = coordinator::emptyState(batch.history);
    hashes_[0] = state_.hash();
  }
  checkOrder(batch);
  if (world_.violation()) return;
  checkLeader(batch, decodeCommand(batch.commands.front()));
  LogIndex index = batch.firstIndex;
  for (const ByteString& command : batch.commands) {
    apply(index, batch, command);
    index = index.next();
  }
  positions_.push_back(
      {batch.number, batch.lastIndex(), chainAfter(bytes), batch.epoch, batch.leaderTime});
  bool inFull = batch.number.value % FULL_CHECK_EVERY == 0;
  auto broken = inFull ? coordinator::violations(state_) : coordinator::brokenRules(state_);
  for (const std::string& wrong : broken) world_.violated(INVARIANTS, wrong);
}

void LogChecker::checkOrder(const Batch& batch) {
  const LogPosition& before = positions_.back();
  std::string name = "batch " + std::to_string(batch.number.value);
  if (batch.number != before.batch.next() || batch.firstIndex != before.index.next()) {
    world_.violated(DENSE, name + " follows batch " + std::to_string(before.batch.value) +
                               ", index " + std::to_string(batch.firstIndex.value) + " follows " +
                               std::to_string(before.index.value));
  }
  if (before.batch.value > 0 && batch.previousChain != before.chain) {
    world_.violated(DENSE, name + " names another chain before it");
  }
  if (batch.epoch < before.epoch) {
    world_.violated(ONE_LEADER, name + " of epoch " + std::to_string(batch.epoch.value) +
                                    " follows epoch " + std::to_string(before.epoch.value));
  }
  if (batch.leaderTime < before.leaderTime) {
    world_.violated("cluster time only grows", name + " is stamped before the one before it");
  }
  if (batch.stateHash && batch.stateHash->index <= before.index &&
      batch.stateHash->value != hashAt(batch.stateHash->index)) {
    world_.violated("equal states at equal index",
                    name + " carries another state hash than the log makes");
  }
}

void LogChecker::checkLeader(const Batch& batch, const Command& first) {
  auto* started = std::get_if<LeaderStarted>(&first.body);
  bool newEpoch = batch.epoch > positions_.back().epoch;
  bool fits = started != nullptr ? newEpoch && started->epoch == batch.epoch : !newEpoch;
  if (!fits) {
    world_.violated(ONE_LEADER, "epoch " + std::to_string(batch.epoch.value) +
                                    " does not start with the start of its one leader");
  }
}

void LogChecker::apply(LogIndex index, const Batch&, const ByteString& bytes) {
  Command command = decodeCommand(bytes);
  if (onCommand_) onCommand_(state_, command);
  coordinator::Applied applied = coordinator::apply(state_, index, command);
  hashes_.push_back(state_.hash());
  requests_.push_back(command.request);
  if (applied.rejected) {
    world_.violated("what a leader accepts can be applied",
                    "index " + std::to_string(index.value) + ": " + applied.rejected->text);
  }
  if (command.request.guid.isNull()) return;
  auto [known, isNew] = effects_.emplace(command.request, index);
  if (!isNew) {
    world_.violated(ONCE, "request " + toText(command.request.guid) + " is at index " +
                              std::to_string(known->second.value) + " and again at " +
                              std::to_string(index.value));
  }
}

LogIndex LogChecker::indexOf(const RequestId& request) const {
  auto found = effects_.find(request);
  return found == effects_.end() ? LogIndex{} : found->second;
}

}  // namespace muster::sim
