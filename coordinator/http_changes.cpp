#include "coordinator/http_changes.h"

#include "base/exception_refusal.h"
#include "coordinator/http_body.h"
#include "coordinator/http_lists.h"
#include "coordinator/leader_api.h"
#include "coordinator/request_key.h"
#include "protocol/codec.h"

#include <algorithm>
#include <iterator>

namespace muster::coordinator {
namespace {

constexpr size_t KEY_BYTES_MAX = 128;

// One change as it was sent.
struct AskedChange {
  std::string body;
  std::vector<std::string> words;  // of the path, in the places of "{}"
  Guid guid;                       // of the request, by caller and key
  Revision expected;
  bool flag = false;  // the route's query parameter

  std::string deployment() const { return words[0] + "/" + words[1]; }
  template <class Request>
  void begin(Request& call) const {
    encode(RequestId{guid, {}}, call.initHeader().initRequest());
  }
};

using OutcomePromise = kj::Promise<Result<Answer>>;

Result<Answer> decodeOutcome(schema::Outcome::Reader outcome) {
  if (outcome.isRefusal()) return decode(outcome.getRefusal());
  return Answer{outcome.getJson().cStr(), {outcome.getIndex()}};
}

template <class Request>
OutcomePromise send(Request&& call) {
  return call.send().then([](auto&& response) { return decodeOutcome(response.getOutcome()); });
}

OutcomePromise refuse(Refusal refusal) { return Result<Answer>(kj::mv(refusal)); }

OutcomePromise plan(schema::ClusterApi::Client api, const AskedChange& change) {
  auto call = api.planRequest();
  change.begin(call);
  call.setDocuments(change.body.c_str());
  call.setFileName("the request's body");
  call.setShowCommands(change.flag);
  return send(kj::mv(call));
}

OutcomePromise apply(schema::ClusterApi::Client api, const AskedChange& change) {
  auto plan = planIdIn(change.body);
  if (!plan) return refuse(plan.refusal());
  auto call = api.applyRequest();
  change.begin(call);
  if (plan->empty()) call.setDocuments(change.body.c_str());
  call.setPlanId(plan->c_str());
  call.setFileName("the request's body");
  call.setExpectedRevision(change.expected.value);
  call.setDryRun(change.flag);
  return send(kj::mv(call));
}

OutcomePromise remove(schema::ClusterApi::Client api, const AskedChange& change) {
  auto body = readBody(change.body, {});
  if (!body) return refuse(body.refusal());
  auto call = api.deleteRequest();
  change.begin(call);
  call.setDeployment(change.deployment().c_str());
  call.setExpectedRevision(change.expected.value);
  call.setDryRun(change.flag);
  return send(kj::mv(call));
}

OutcomePromise scale(schema::ClusterApi::Client api, const AskedChange& change) {
  auto body = readBody(change.body, {{"replicas", BodyField::NUMBER, true}});
  if (!body) return refuse(body.refusal());
  auto call = api.scaleRequest();
  change.begin(call);
  call.setDeployment(change.deployment().c_str());
  call.setReplicas((*body)["replicas"].get<uint32_t>());
  call.setExpectedRevision(change.expected.value);
  call.setDryRun(change.flag);
  return send(kj::mv(call));
}

OutcomePromise cordon(schema::ClusterApi::Client api, const AskedChange& change) {
  auto body = readBody(change.body, {{"reason", BodyField::TEXT}});
  if (!body) return refuse(body.refusal());
  auto call = api.cordonRequest();
  change.begin(call);
  call.setNode(change.words[0].c_str());
  call.setReason(body->value("reason", "").c_str());
  call.setDryRun(change.flag);
  return send(kj::mv(call));
}

OutcomePromise uncordon(schema::ClusterApi::Client api, const AskedChange& change) {
  auto body = readBody(change.body, {});
  if (!body) return refuse(body.refusal());
  auto call = api.uncordonRequest();
  change.begin(call);
  call.setNode(change.words[0].c_str());
  call.setDryRun(change.flag);
  return send(kj::mv(call));
}

OutcomePromise drain(schema::ClusterApi::Client api, const AskedChange& change) {
  auto body = readBody(change.body, {{"reason", BodyField::TEXT}, {"force", BodyField::FLAG}});
  if (!body) return refuse(body.refusal());
  auto call = api.drainRequest();
  change.begin(call);
  call.setNode(change.words[0].c_str());
  call.setReason(body->value("reason", "").c_str());
  call.setForce(body->value("force", false));
  call.setDryRun(change.flag);
  return send(kj::mv(call));
}

struct ChangeRoute {
  const char* method;
  const char* pattern;
  OutcomePromise (*make)(schema::ClusterApi::Client api, const AskedChange& change);
  const char* flag;    // a query parameter
  bool takesRevision;  // If-Match
};

constexpr const char* DRY_RUN = "dry_run";

constexpr ChangeRoute CHANGE_ROUTES[] = {
    {"POST", "/api/v1/plan", plan, "show_commands", false},
    {"POST", "/api/v1/apply", apply, DRY_RUN, true},
    {"DELETE", "/api/v1/deployments/{}/{}", remove, DRY_RUN, true},
    {"POST", "/api/v1/deployments/{}/{}/scale", scale, DRY_RUN, true},
    {"POST", "/api/v1/nodes/{}/cordon", cordon, DRY_RUN, false},
    {"POST", "/api/v1/nodes/{}/uncordon", uncordon, DRY_RUN, false},
    {"POST", "/api/v1/nodes/{}/drain", drain, DRY_RUN, false},
};

const ChangeRoute* find(const std::string& method, const std::string& path) {
  auto route = std::ranges::find_if(CHANGE_ROUTES, [&](const ChangeRoute& r) {
    return method == r.method && matchPath(r.pattern, path).has_value();
  });
  return route == std::end(CHANGE_ROUTES) ? nullptr : &*route;
}

std::string headerOf(const HttpRequest& request, const char* name) {
  auto found = request.headers.find(name);
  return found == request.headers.end() ? "" : found->second;
}

PeerIdentity callerOf(const HttpRequest& request) {
  return request.peerIdentity.value_or(PeerIdentity{Role::VIEWER, "anonymous"});
}

Result<bool> flagOf(const HttpRequest& request, const ChangeRoute& route) {
  if (auto refusal = refuseParameters(request.query, {route.flag})) return *refusal;
  return flagIn(request.query, route.flag);
}

Result<Revision> expectedOf(const HttpRequest& request, const ChangeRoute& route) {
  std::string wanted = headerOf(request, "if-match");
  if (wanted.empty()) return Revision{};
  if (route.takesRevision) return revisionIn(wanted);
  return Refusal{RefusalCode::INVALID_VALUE, "If-Match guards changes of one deployment only"};
}

Result<std::string> keyOf(const HttpRequest& request, Random& random) {
  std::string key = headerOf(request, "idempotency-key");
  if (key.size() > KEY_BYTES_MAX) {
    return Refusal{RefusalCode::INVALID_VALUE, "Idempotency-Key has " + std::to_string(key.size()) +
                                                   " bytes, at most " +
                                                   std::to_string(KEY_BYTES_MAX) + " are taken"};
  }
  return key.empty() ? toText(random.guid()) : key;
}

// Whether a lost answer leaves the outcome open is the reader's business: the key makes asking
// again safe.
Refusal refusalFor(const kj::Exception& why) {
  if (why.getType() != kj::Exception::Type::DISCONNECTED) return refusalOf(why);
  return {RefusalCode::OUTCOME_UNKNOWN,
          "the connection to the leader broke before the outcome was known; ask again with the "
          "same Idempotency-Key"};
}

HttpResponse responseFor(const Result<Answer>& answer, const std::string& requestId,
                         const std::string& key) {
  HttpResponse response;
  if (answer) {
    response.body = answer->json + "\n";
    response.headers["X-Muster-Index"] = std::to_string(answer->index.value);
    Json object = Json::parse(answer->json);
    auto revision = object.find("revision");
    if (revision != object.end()) response.headers["ETag"] = "\"" + revision->dump() + "\"";
  } else {
    response = problemResponse(answer.refusal(), requestId);
  }
  response.headers["Idempotency-Key"] = key;
  return response;
}

}  // namespace

std::optional<std::string> changeAt(const std::string& method, const std::string& path) {
  const ChangeRoute* route = find(method, path);
  if (route == nullptr) return std::nullopt;
  return route->pattern;
}

std::vector<std::string> changeMethodsAt(const std::string& path) {
  std::vector<std::string> methods;
  for (const ChangeRoute& route : CHANGE_ROUTES) {
    if (matchPath(route.pattern, path)) methods.emplace_back(route.method);
  }
  return methods;
}

std::vector<std::string> changePaths() {
  std::vector<std::string> paths;
  for (const ChangeRoute& route : CHANGE_ROUTES) paths.emplace_back(route.pattern);
  return paths;
}

kj::Promise<HttpResponse> answerChange(ApiContext& context, const HttpRequest& request) {
  const ChangeRoute& route = *find(request.method, request.path);
  auto problem = [&](const Refusal& refusal) {
    return problemResponse(refusal, request.requestId);
  };
  auto flag = flagOf(request, route);
  if (!flag) return problem(flag.refusal());
  auto expected = expectedOf(request, route);
  if (!expected) return problem(expected.refusal());
  auto key = keyOf(request, context.env().random);
  if (!key) return problem(key.refusal());
  Guid guid = guidOfKey(commonName(callerOf(request)), *key);
  AskedChange change{request.body, *matchPath(route.pattern, request.path), guid, *expected, *flag};
  return reachLeader(context, callerOf(request), request.remoteAddress)
      .then([&route, change = kj::mv(change)](Result<LeaderApi> leader) -> OutcomePromise {
        if (!leader) return refuse(leader.refusal());
        return route.make(leader->api, change).attach(kj::mv(leader->connection));
      })
      .catch_([](kj::Exception&& why) -> Result<Answer> { return refusalFor(why); })
      .then([id = request.requestId, key = *key](Result<Answer> answer) {
        return responseFor(answer, id, key);
      });
}

kj::Promise<Result<LogIndex>> newestIndex(ApiContext& context, const HttpRequest& request) {
  return reachLeader(context, callerOf(request), request.remoteAddress)
      .then([](Result<LeaderApi> leader) -> OutcomePromise {
        if (!leader) return refuse(leader.refusal());
        auto call = leader->api.getRequest();
        call.initHeader();
        call.setKind("cluster");  // a small object: only the index counts
        return send(kj::mv(call)).attach(kj::mv(leader->connection));
      })
      .catch_([](kj::Exception&& why) -> Result<Answer> { return refusalFor(why); })
      .then([](Result<Answer> answer) -> Result<LogIndex> {
        if (!answer) return answer.refusal();
        return answer->index;
      });
}

}  // namespace muster::coordinator
