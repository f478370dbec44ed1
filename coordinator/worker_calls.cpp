#include "coordinator/worker_calls.h"

#include "base/kj_time.h"
#include "protocol/codec.h"

#include <kj/debug.h>

namespace muster::coordinator {
namespace {

// Whether another worker may know better: the model is not below this one's roots, or this one
// could not be asked.
bool anotherMayKnow(const Refusal& refusal) {
  return refusal.code == RefusalCode::MODEL_NOT_FOUND ||
         refusal.code == RefusalCode::MODEL_OUTSIDE_ROOTS || refusal.code == RefusalCode::NO_WORKER;
}

}  // namespace

kj::Promise<Result<ModelManifest>> WorkerCalls::inspectModel(std::string source) const {
  return inspectCo(std::move(source));
}

Co<Result<ModelManifest>> WorkerCalls::inspectCo(std::string source) const {
  Refusal nearest{RefusalCode::NO_WORKER,
                  "no worker is attached that could inspect model " + source};
  std::vector<NodeName> nodes;
  for (const auto& [node, attachment] : registry_.all()) nodes.push_back(node);
  for (const NodeName& node : nodes) {
    const Attachment* attachment = registry_.find(node);
    if (attachment == nullptr) continue;  // gone while another was asked
    auto answer = co_await inspectOn(*attachment, source);
    if (answer.ok() || !anotherMayKnow(answer.refusal())) co_return kj::mv(answer);
    if (nearest.code == RefusalCode::NO_WORKER) nearest = answer.refusal();
  }
  co_return nearest;
}

kj::Promise<Result<ModelManifest>> WorkerCalls::inspectOn(const Attachment& attachment,
                                                          const std::string& source) const {
  schema::Agent::Client agent = attachment.agent;
  auto request = agent.inspectModelRequest();
  request.setSource(source.c_str());
  NodeName node = attachment.hello.node.name;
  auto asked = request.send().then(
      [node](
          capnp::Response<schema::Agent::InspectModelResults>&& response) -> Result<ModelManifest> {
        auto answer = response.getAnswer();
        if (answer.isRefusal()) return decode(answer.getRefusal());
        ModelManifest manifest = decode(answer.getManifest());
        manifest.inspectedBy = node;
        return manifest;
      });
  return withDeadline(timer_, INSPECT_DEADLINE, "inspecting a model on " + node.value,
                      kj::mv(asked))
      .catch_([node, source](kj::Exception&& why) -> Result<ModelManifest> {
        return Refusal{RefusalCode::NO_WORKER, "worker " + node.value +
                                                   " could not inspect model " + source + ": " +
                                                   why.getDescription().cStr()};
      });
}

kj::Promise<Result<RankLog>> WorkerCalls::readLog(NodeName node, RankRef rank,
                                                  uint32_t linesMax) const {
  const Attachment* attachment = registry_.find(node);
  if (attachment == nullptr) {
    return Result<RankLog>(
        Refusal{RefusalCode::NODE_LOST,
                "node " + node.value + " is not attached, so its logs cannot be read now"});
  }
  schema::Agent::Client agent = attachment->agent;
  auto request = agent.readLogRequest();
  encode(rank, request.initRank());
  request.setLinesMax(linesMax);
  auto asked = request.send().then([node](capnp::Response<schema::Agent::ReadLogResults>&& response)
                                       -> Result<RankLog> {
    if (!response.getFound()) {
      return Refusal{RefusalCode::NOT_FOUND, "node " + node.value + " keeps no log of this rank"};
    }
    RankLog log;
    for (auto line : response.getLines()) log.lines.emplace_back(line.begin(), line.size());
    log.firstError = response.getFirstError();
    return log;
  });
  return withDeadline(timer_, READ_LOG_DEADLINE, "reading a log on " + node.value, kj::mv(asked));
}

}  // namespace muster::coordinator
