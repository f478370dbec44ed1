#include "cli/calls.h"

#include "protocol/codec.h"

namespace muster::cli {
namespace {

using Api = schema::ClusterApi::Client;

Result<Answer> toAnswer(schema::Outcome::Reader outcome) {
  if (outcome.isRefusal()) return decode(outcome.getRefusal());
  return Answer{.json = outcome.getJson(),
                .index = {outcome.getIndex()},
                .epoch = {outcome.getEpoch()},
                .stale = outcome.getStale(),
                .age = {int64_t{outcome.getAgeMs()} * 1'000'000}};
}

// `make` builds the request of one call; all have a header and answer an outcome.
template <class Make>
ClusterCall toCall(Make make, ReadChoice choice = {}) {
  auto send = [make](Api api, const CallStamp& stamp) -> kj::Promise<Returned> {
    auto request = make(api);
    auto header = request.initHeader();
    encode(stamp.request, header.initRequest());
    encode(stamp.history, header.initHistory());
    header.setLastIndex(stamp.lastIndex.value);
    return request.send().then([id = stamp.request](auto&& response) {
      auto answer = toAnswer(response.getOutcome());
      if (answer) answer->request = id;
      return Returned(std::move(answer), {response.getOutcome().getIndex()});
    });
  };
  return {.send = send, .asks = choice.asks, .serverWait = choice.waitLimit};
}

void fill(schema::ReadOptions::Builder options, const ReadChoice& choice) {
  options.setStale(choice.asks == Asks::ANYONE);
  options.setAfterIndex(choice.after.value);
  options.setWaitMs(static_cast<uint32_t>(choice.waitLimit.millis()));
}

}  // namespace

ClusterCall planCall(const Documents& documents, ShowCommands show) {
  return toCall([documents, show](Api& api) {
    auto request = api.planRequest();
    request.setDocuments(documents.text);
    request.setFileName(documents.fileName);
    request.setShowCommands(show == ShowCommands::YES);
    return request;
  });
}

ClusterCall applyCall(const ApplyArguments& arguments) {
  return toCall([arguments](Api& api) {
    auto request = api.applyRequest();
    request.setDocuments(arguments.documents.text);
    request.setFileName(arguments.documents.fileName);
    request.setPlanId(arguments.planId);
    request.setExpectedRevision(arguments.expected.value);
    request.setDryRun(arguments.dryRun == DryRun::YES);
    return request;
  });
}

ClusterCall deleteCall(const std::string& deployment, DryRun dryRun) {
  return toCall([deployment, dryRun](Api& api) {
    auto request = api.deleteRequest();
    request.setDeployment(deployment);
    request.setDryRun(dryRun == DryRun::YES);
    return request;
  });
}

ClusterCall scaleCall(const std::string& deployment, uint32_t replicas, DryRun dryRun) {
  return toCall([deployment, replicas, dryRun](Api& api) {
    auto request = api.scaleRequest();
    request.setDeployment(deployment);
    request.setReplicas(replicas);
    request.setDryRun(dryRun == DryRun::YES);
    return request;
  });
}

ClusterCall cordonCall(const NodeChange& change) {
  return toCall([change](Api& api) {
    auto request = api.cordonRequest();
    request.setNode(change.node);
    request.setReason(change.reason);
    request.setDryRun(change.dryRun == DryRun::YES);
    return request;
  });
}

ClusterCall uncordonCall(const NodeChange& change) {
  return toCall([change](Api& api) {
    auto request = api.uncordonRequest();
    request.setNode(change.node);
    request.setDryRun(change.dryRun == DryRun::YES);
    return request;
  });
}

ClusterCall drainCall(const NodeChange& change, Force force) {
  return toCall([change, force](Api& api) {
    auto request = api.drainRequest();
    request.setNode(change.node);
    request.setReason(change.reason);
    request.setForce(force == Force::YES);
    request.setDryRun(change.dryRun == DryRun::YES);
    return request;
  });
}

ClusterCall getCall(const std::string& kind, const std::string& target, ReadChoice choice) {
  return toCall(
      [kind, target, choice](Api& api) {
        auto request = api.getRequest();
        request.setKind(kind);
        request.setTarget(target);
        fill(request.initOptions(), choice);
        return request;
      },
      choice);
}

ClusterCall whyCall(const std::string& deployment, ReadChoice choice) {
  return toCall(
      [deployment, choice](Api& api) {
        auto request = api.whyRequest();
        request.setDeployment(deployment);
        fill(request.initOptions(), choice);
        return request;
      },
      choice);
}

ClusterCall logsCall(const std::string& target, uint32_t linesMax, LogPart part) {
  return toCall([target, linesMax, part](Api& api) {
    auto request = api.logsRequest();
    request.setTarget(target);
    request.setLinesMax(linesMax);
    request.setFirstError(part == LogPart::FIRST_ERROR);
    return request;
  });
}

ClusterCall adminStatusCall() {
  return toCall([](Api& api) { return api.adminStatusRequest(); }, {.asks = Asks::LEADER_IF_ANY});
}

ClusterCall backupCall(Asks asks, std::function<void(schema::Backup::Client)> into) {
  auto send = [asks, into = std::move(into)](Api api,
                                             const CallStamp& stamp) -> kj::Promise<Returned> {
    auto request = api.backupRequest();
    auto header = request.initHeader();
    encode(stamp.request, header.initRequest());
    encode(stamp.history, header.initHistory());
    header.setLastIndex(stamp.lastIndex.value);
    request.setStale(asks == Asks::ANYONE);
    return request.send().then([id = stamp.request, into](auto&& response) {
      auto answer = toAnswer(response.getOutcome());
      if (answer) {
        answer->request = id;
        into(response.getBackup());
      }
      return Returned(std::move(answer), {response.getOutcome().getIndex()});
    });
  };
  return {.send = send, .asks = asks};
}

ClusterCall historyCall(const PastPoint& point, const std::string& kind,
                        const std::string& target) {
  return toCall(
      [point, kind, target](Api& api) {
        auto request = api.historyRequest();
        request.setIndex(point.index.value);
        request.setWallMs(point.wall.unixMs);
        request.setKind(kind);
        request.setTarget(target);
        return request;
      },
      {.asks = Asks::ANYONE});
}

ClusterCall stepDownCall(const std::string& successor) {
  ClusterCall call = toCall([successor](Api& api) {
    auto request = api.stepDownRequest();
    request.setSuccessor(successor);
    return request;
  });
  call.changesLeader = true;
  return call;
}

}  // namespace muster::cli
