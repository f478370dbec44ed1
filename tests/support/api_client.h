// A client of the coordinators' API for tests: finds the leader, calls, and reads the JSON.
#pragma once

#include "base/event_loop.h"
#include "base/random.h"
#include "base/rpc.h"
#include "protocol/codec.h"
#include "protocol/coordinator.capnp.h"
#include "tests/support/coordinator_process.h"

#include <nlohmann/json.hpp>

#include <string>

namespace muster::support {

struct ApiAnswer {
  nlohmann::json json;  // null when refused
  std::optional<Refusal> refusal;
  uint64_t index = 0;
  uint64_t epoch = 0;
  bool stale = false;
};

// One connection to one coordinator, as the caller's certificate allows.
class ApiClient {
 public:
  ApiClient(EventLoop& loop, const ClusterName& cluster, const TlsFiles& certificate,
            const std::string& address)
      : loop_(loop),
        transport_(makeTlsTransport(loop.network(), loop.timer(), cluster, certificate)),
        connection_(connectRpc(*transport_, loop.timer(), address, Role::COORDINATOR)
                        .wait(loop.waitScope())),
        gate_(connection_->bootstrap<schema::Gate>()),
        api_(gate_.apiRequest().send().getApi()) {}

  schema::ClusterApi::Client& api() { return api_; }
  auto hello() { return gate_.helloRequest().send().wait(loop_.waitScope()); }
  // Of a new request.
  RequestId newId() { return {SystemRandom().guid(), {hello().getInfo().getClusterTimeNs()}}; }

  template <class Request>
  ApiAnswer call(Request&& request, RequestId id = {}, uint64_t lastIndex = 0) {
    auto header = request.initHeader();
    encode(id, header.initRequest());
    header.setLastIndex(lastIndex);
    auto response = request.send().wait(loop_.waitScope());
    auto outcome = response.getOutcome();
    ApiAnswer answer;
    answer.index = outcome.getIndex();
    answer.epoch = outcome.getEpoch();
    answer.stale = outcome.getStale();
    if (outcome.isRefusal()) {
      answer.refusal = decode(outcome.getRefusal());
    } else {
      answer.json = nlohmann::json::parse(outcome.getJson().cStr());
    }
    return answer;
  }

  ApiAnswer get(const std::string& kind, const std::string& target = "", bool stale = false,
                uint64_t lastIndex = 0) {
    auto request = api_.getRequest();
    request.setKind(kind.c_str());
    request.setTarget(target.c_str());
    request.getOptions().setStale(stale);
    return call(request, {}, lastIndex);
  }
  ApiAnswer plan(const std::string& documents) {
    auto request = api_.planRequest();
    request.setDocuments(documents.c_str());
    request.setFileName("d.yaml");
    return call(request);
  }
  ApiAnswer apply(const std::string& documents, RequestId id, uint64_t expectedRevision = 0,
                  bool dryRun = false) {
    auto request = api_.applyRequest();
    request.setDocuments(documents.c_str());
    request.setFileName("d.yaml");
    request.setExpectedRevision(expectedRevision);
    request.setDryRun(dryRun);
    return call(request, id);
  }
  ApiAnswer applyPlan(const std::string& plan, RequestId id) {
    auto request = api_.applyRequest();
    request.setPlanId(plan.c_str());
    return call(request, id);
  }
  ApiAnswer scale(const std::string& deployment, uint32_t replicas, RequestId id) {
    auto request = api_.scaleRequest();
    request.setDeployment(deployment.c_str());
    request.setReplicas(replicas);
    return call(request, id);
  }
  ApiAnswer remove(const std::string& deployment, RequestId id) {
    auto request = api_.deleteRequest();
    request.setDeployment(deployment.c_str());
    return call(request, id);
  }
  ApiAnswer why(const std::string& deployment) {
    auto request = api_.whyRequest();
    request.setDeployment(deployment.c_str());
    return call(request);
  }
  ApiAnswer logs(const std::string& target) {
    auto request = api_.logsRequest();
    request.setTarget(target.c_str());
    return call(request);
  }
  ApiAnswer drain(const std::string& node, RequestId id) {
    auto request = api_.drainRequest();
    request.setNode(node.c_str());
    request.setReason("replace fan");
    return call(request, id);
  }
  ApiAnswer status() { return call(api_.adminStatusRequest()); }
  ApiAnswer stepDown() { return call(api_.stepDownRequest()); }

 private:
  EventLoop& loop_;
  kj::Own<Transport> transport_;
  kj::Own<RpcConnection> connection_;
  schema::Gate::Client gate_;
  schema::ClusterApi::Client api_;
};

}  // namespace muster::support
