// The calls of a coordinator's ClusterApi as values that can be sent again, to the same or another
// coordinator.
#pragma once

#include "base/result.h"
#include "base/units.h"
#include "protocol/command.h"
#include "protocol/coordinator.capnp.h"

#include <cstdint>
#include <functional>
#include <string>

namespace muster::cli {

// What every sending of one request carries.
struct CallStamp {
  RequestId request;
  LogIndex lastIndex;  // seen in `history`
  HistoryId history;
};

struct Answer {
  std::string json;
  LogIndex index;
  Epoch epoch;
  bool stale = false;
  Duration age{};     // of a stale answer: since it was last known to be the newest
  RequestId request;  // under which it was asked
};

// What came back: a refusal rests on an index, too.
struct Returned {
  Returned(Result<Answer> answered, LogIndex restsOn)
      : answer(std::move(answered)), index(restsOn) {}

  Result<Answer> answer;
  LogIndex index;
};

// LEADER_IF_ANY: whoever answers when nobody has led for two seconds.
enum class Asks : uint8_t { LEADER, ANYONE, LEADER_IF_ANY };

struct ClusterCall {
  std::function<kj::Promise<Returned>(schema::ClusterApi::Client, const CallStamp&)> send;
  Asks asks = Asks::LEADER;
  Duration serverWait{};  // how long the coordinator may hold the answer back
  // It makes another coordinator lead: then that one leads is no reason to ask again.
  bool changesLeader = false;
};

enum class DryRun : uint8_t { NO, YES };

struct ReadChoice {
  Asks asks = Asks::LEADER;
  LogIndex after;        // not 0: wait for something newer
  Duration waitLimit{};  // for at most this long
};

struct Documents {
  std::string text;
  std::string fileName;
};

struct ApplyArguments {
  Documents documents;  // or
  std::string planId;
  Revision expected;  // 0: any
  DryRun dryRun = DryRun::NO;
};

struct NodeChange {
  std::string node;
  std::string reason;
  DryRun dryRun = DryRun::NO;
};

enum class Force : uint8_t { NO, YES };
enum class LogPart : uint8_t { ALL, FIRST_ERROR };

enum class ShowCommands : uint8_t { NO, YES };

ClusterCall planCall(const Documents& documents, ShowCommands show);
ClusterCall applyCall(const ApplyArguments& arguments);
ClusterCall deleteCall(const std::string& deployment, DryRun dryRun);
ClusterCall scaleCall(const std::string& deployment, uint32_t replicas, DryRun dryRun);
ClusterCall cordonCall(const NodeChange& change);
ClusterCall uncordonCall(const NodeChange& change);
ClusterCall drainCall(const NodeChange& change, Force force);
// kind: cluster, nodes, gpus, deployments, replicas, ranks, events, models. Empty target: all.
ClusterCall getCall(const std::string& kind, const std::string& target, ReadChoice choice = {});
ClusterCall whyCall(const std::string& deployment, ReadChoice choice = {});
ClusterCall logsCall(const std::string& target, uint32_t linesMax, LogPart part);
ClusterCall adminStatusCall();
ClusterCall stepDownCall(const std::string& successor);
// The capability to read the backup comes through `into` with each answer; the newest counts.
ClusterCall backupCall(Asks asks, std::function<void(schema::Backup::Client)> into);
struct PastPoint {
  LogIndex index;  // 0: by time
  WallTime wall;
};
ClusterCall historyCall(const PastPoint& point, const std::string& kind, const std::string& target);

}  // namespace muster::cli
