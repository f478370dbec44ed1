// Logs of ranks, asked of the agents of their nodes, and the error that came first.
#include "base/co.h"
#include "coordinator/api_reads.h"
#include "coordinator/core/change.h"
#include "coordinator/objects/standing.h"
#include "coordinator/select.h"
#include "protocol/names.h"

#include <cstdlib>

namespace muster::coordinator {
namespace {

constexpr uint32_t LINES_MAX = 5'000;  // of one rank
constexpr uint32_t LINES_DEFAULT = 200;
constexpr size_t RANKS_MAX = 256;  // asked for one call

struct RankTarget {
  RankRef ref;
  NodeName node;
  RankState state;
};

// What the state says of the ranks that are meant; the agents are asked afterwards.
struct LogTargets {
  std::vector<RankTarget> ranks;
  Json earlierError;  // of an attempt whose ranks are gone
  LogIndex index;
};

Json causeOf(const ReplicaState& replica, Reason ofRank) {
  Reason reason = ofRank != Reason::NONE ? ofRank : replica.reason;
  if (reason == Reason::NONE) {
    // The next attempt runs already; why the one before ended is in the events.
    uint32_t attempts = replica.failedAttempts;
    return attempts == 0 ? "" : "attempt " + std::to_string(attempts) + " failed";
  }
  std::string text(toText(reason));
  if (auto code = codeOf(reason)) text += " (" + toText(*code) + ")";
  return replica.message.empty() ? text : text + ": " + replica.message;
}

std::string fixOf(const DeploymentState& deployment, Reason reason) {
  if (auto code = codeOf(reason)) return "muster explain " + toText(*code);
  return "muster why " + referenceTo(deployment);
}

// "rank 5 (gpu02:5): the text", as the state keeps it.
Json errorOfEarlier(const DeploymentState& deployment, const ReplicaState& replica) {
  const std::string& text = replica.firstError;
  size_t open = text.find('(');
  size_t colon = text.find(':', open == std::string::npos ? 0 : open);
  size_t end = text.find("): ");
  bool isNamed = text.starts_with("rank ") && open != std::string::npos &&
                 colon != std::string::npos && end != std::string::npos;
  Json error = {{"rank", nullptr}, {"node", ""}, {"text", text}};
  if (isNamed) {
    error["rank"] = std::strtoul(text.c_str() + 5, nullptr, 10);
    error["node"] = text.substr(open + 1, std::min(colon, end) - open - 1);
    error["text"] = text.substr(end + 3);
  }
  error["cause"] = causeOf(replica, Reason::NONE);
  error["fix"] = fixOf(deployment, replica.reason);
  return error;
}

void addReplica(LogTargets& targets, const DeploymentState& deployment, ReplicaNumber number,
                const ReplicaState& replica, const Reference& wanted) {
  if (!replica.firstError.empty() && targets.earlierError.is_null()) {
    targets.earlierError = errorOfEarlier(deployment, replica);
  }
  if (!replica.current) return;
  for (uint32_t i = 0; i < replica.current->ranks.size(); ++i) {
    if (wanted.rank && wanted.rank->value != i) continue;
    if (targets.ranks.size() == RANKS_MAX) return;
    targets.ranks.push_back({{deployment.uid, number, replica.current->generation, {i}},
                             replica.current->placement.ranks[i].node,
                             replica.current->ranks[i]});
  }
}

Result<LogTargets> findTargets(const State& state, const Reference& wanted) {
  auto deployment =
      findTarget(state, wanted.tenant.value_or(TenantName{"default"}), wanted.deployment);
  if (!deployment) return deployment.refusal();
  LogTargets targets;
  targets.index = state.applied;
  bool found = false;
  for (const auto& [number, replica] : (*deployment)->replicas) {
    if (wanted.replica && *wanted.replica != number) continue;
    found = true;
    addReplica(targets, **deployment, number, replica, wanted);
  }
  if (found || !wanted.replica) return targets;
  return Refusal{RefusalCode::NOT_FOUND, "there is no replica " + toText(wanted)};
}

struct ReadLog {
  RankTarget target;
  Result<RankLog> log;
};

kj::Promise<ReadLog> readOne(ApiContext& context, RankTarget target, uint32_t linesMax) {
  NodeName node = target.node;
  return context.coordinator.workerCalls()
      .readLog(node, target.ref, linesMax)
      .catch_([node](kj::Exception&& why) -> Result<RankLog> {
        return Refusal{RefusalCode::NODE_LOST, "the log cannot be read from node " + node.value +
                                                   ": " + why.getDescription().cStr()};
      })
      .then([target = kj::mv(target)](Result<RankLog> log) mutable {
        return ReadLog{kj::mv(target), kj::mv(log)};
      });
}

kj::Promise<kj::Array<ReadLog>> readAll(ApiContext& context, const std::vector<RankTarget>& ranks,
                                        uint32_t linesMax) {
  auto asked = kj::heapArrayBuilder<kj::Promise<ReadLog>>(ranks.size());
  for (const RankTarget& rank : ranks) asked.add(readOne(context, rank, linesMax));
  return kj::joinPromises(asked.finish());
}

std::string errorText(const ReadLog& read) {
  if (!read.target.state.firstError.empty()) return read.target.state.firstError;
  return read.log.ok() ? read.log->firstError : "";
}

// Of the ranks that run now: the one that failed first.
Json firstErrorOf(const kj::Array<ReadLog>& logs, const State& state) {
  const ReadLog* first = nullptr;
  for (const ReadLog& read : logs) {
    if (errorText(read).empty()) continue;
    if (first == nullptr || read.target.state.since < first->target.state.since) first = &read;
  }
  if (first == nullptr) return nullptr;
  const RankRef& ref = first->target.ref;
  Json error = {
      {"rank", ref.rank.value}, {"node", first->target.node.value}, {"text", errorText(*first)}};
  const auto* deployment = state.findDeployment(ref.deployment);
  const auto* replica = state.findReplica(ref.deployment, ref.replica);
  bool known = deployment != nullptr && replica != nullptr;
  error["cause"] = known ? causeOf(*replica, first->target.state.reason) : Json("");
  error["fix"] = known ? fixOf(*deployment, first->target.state.reason) : "";
  return error;
}

Json logsObject(const std::string& target, const kj::Array<ReadLog>& logs, Json firstError,
                bool firstErrorOnly) {
  Json lines = Json::array();
  Json unavailable = Json::array();
  for (const ReadLog& read : logs) {
    Json where = {{"replica", read.target.ref.replica.value},
                  {"rank", read.target.ref.rank.value},
                  {"node", read.target.node.value}};
    if (!read.log) {
      where["message"] = read.log.refusal().text;
      unavailable.push_back(std::move(where));
      continue;
    }
    if (firstErrorOnly) continue;
    for (const std::string& line : read.log->lines) {
      Json row = where;
      row["text"] = line;
      lines.push_back(std::move(row));
    }
  }
  return {{"version", 1},
          {"kind", "logs"},
          {"target", target},
          {"lines", std::move(lines)},
          {"unavailable", std::move(unavailable)},
          {"first_error", std::move(firstError)}};
}

Co<Result<Answer>> logsCo(ApiContext& context, ApiCall call, std::string target, uint32_t linesMax,
                          bool firstErrorOnly) {
  Coordinator& coordinator = context.coordinator;
  auto wanted = parseReference(target);
  if (!wanted) co_return wanted.refusal();
  if (!coordinator.leading()) co_return coordinator.notLeader();
  auto come = co_await awaitIndex(coordinator, call.lastIndex);
  if (!come) co_return come.refusal();
  auto targets = findTargets(coordinator.state(), *wanted);
  kj::Maybe<kj::Promise<void>> proven;
  KJ_IF_MAYBE (driver, coordinator.driver()) proven = driver->mayLeave(ReadMode::LINEARIZABLE);
  KJ_IF_MAYBE (promise, proven) {
    co_await kj::mv(*promise);
  } else {
    co_return coordinator.notLeader();
  }
  if (!targets) co_return targets.refusal();
  uint32_t lines = linesMax == 0 ? LINES_DEFAULT : std::min(linesMax, LINES_MAX);
  auto logs = co_await readAll(context, targets->ranks, lines);
  Json firstError = firstErrorOf(logs, coordinator.state());
  if (firstError.is_null()) firstError = targets->earlierError;
  Json object = logsObject(target, logs, std::move(firstError), firstErrorOnly);
  co_return Answer(toText(object), targets->index);
}

}  // namespace

AnswerPromise ApiReads::logs(ApiCall call, std::string target, uint32_t linesMax, bool firstError) {
  return logsCo(context_, kj::mv(call), kj::mv(target), linesMax, firstError);
}

}  // namespace muster::coordinator
