#include "worker/agent_server.h"

#include "protocol/codec.h"

#include <algorithm>

namespace muster::worker {
namespace {

constexpr uint32_t LOG_LINES_MAX = 2000;

// Waiting calls allow their cancellation: they refer to the agent, and end with their connection.
class AgentServer final : public schema::Agent::Server {
 public:
  AgentServer(AgentServerParts parts, std::string from) : parts_(parts), from_(std::move(from)) {}

  kj::Promise<void> obey(ObeyContext context) override {
    ObeyAnswer answer = parts_.keeper.obey(decode(context.getParams().getOrder()), from_);
    auto results = context.getResults().initAnswer();
    if (answer.outcome) {
      encode(*answer.outcome, results.initObeyed());
    } else {
      encode(answer.outcome.refusal(), results.initRefusal());
    }
    encode(answer.highest, results.initHighest());
    return kj::READY_NOW;
  }

  kj::Promise<void> inspectModel(InspectModelContext context) override {
    std::string source = context.getParams().getSource().cStr();
    context.allowCancellation();
    return parts_.inspection.inspect(std::move(source))
        .then([context](Result<ModelManifest> outcome) mutable {
          auto answer = context.getResults().initAnswer();
          if (outcome) {
            encode(*outcome, answer.initManifest());
          } else {
            encode(outcome.refusal(), answer.initRefusal());
          }
        });
  }

  kj::Promise<void> readLog(ReadLogContext context) override {
    auto params = context.getParams();
    RankRef rank = decode(params.getRank());
    uint32_t lines = std::min(params.getLinesMax(), LOG_LINES_MAX);
    context.allowCancellation();
    return parts_.ranks.readLog(rank, lines).then([context](RankLog log) mutable {
      auto results = context.getResults();
      results.setFound(log.found);
      results.setFirstError(log.firstError.c_str());
      auto out = results.initLines(static_cast<uint32_t>(log.lines.size()));
      for (uint32_t i = 0; i < out.size(); ++i) out.set(i, log.lines[i].c_str());
    });
  }

 private:
  AgentServerParts parts_;
  std::string from_;
};

}  // namespace

schema::Agent::Client makeAgentServer(AgentServerParts parts, std::string from) {
  return kj::heap<AgentServer>(parts, std::move(from));
}

}  // namespace muster::worker
