#include "coordinator/http_api.h"

#include "coordinator/api_reads.h"
#include "coordinator/cluster_facts.h"
#include "coordinator/core/hints.h"
#include "coordinator/http_body.h"
#include "coordinator/http_changes.h"
#include "coordinator/http_lists.h"
#include "coordinator/http_watch.h"
#include "coordinator/metrics.h"

#include <algorithm>
#include <iterator>

namespace muster::coordinator {
namespace {

// A standby looks at the end of the log every few seconds even when nothing happens.
constexpr Duration FRESH_FOR = 15_s;

struct Route {
  const char* path;
  bool isOpen;  // to everybody
  kj::Promise<HttpResponse> (*answer)(ApiContext& context, const HttpRequest& request);
};

HttpResponse jsonResponse(int status, const Json& json) {
  HttpResponse response;
  response.status = status;
  response.body = toText(json) + "\n";
  return response;
}

kj::Promise<HttpResponse> health(ApiContext&, const HttpRequest&) {
  return jsonResponse(200, {{"status", "ok"}});
}

kj::Promise<HttpResponse> ready(ApiContext& context, const HttpRequest&) {
  Coordinator& coordinator = context.coordinator;
  const CoordinatorFacts& facts = coordinator.facts();
  Readiness readiness = readinessOf(facts, coordinator.age());
  HttpResponse response =
      jsonResponse(readiness.ready() ? 200 : 503, {{"ready", readiness.ready()},
                                                   {"coordinator", coordinator.id().value},
                                                   {"stage", toText(facts.stage)},
                                                   {"elected", readiness.elected},
                                                   {"caught_up", readiness.caughtUp},
                                                   {"serving", readiness.serving},
                                                   {"applied_index", facts.committedIndex.value},
                                                   {"reasons", readiness.reasons}});
  if (!readiness.ready()) response.headers["Retry-After"] = "1";
  return response;
}

kj::Promise<HttpResponse> metrics(ApiContext& context, const HttpRequest&) {
  HttpResponse response;
  response.contentType = "text/plain; version=0.0.4; charset=utf-8";
  response.body =
      metricsText(context.coordinator.facts(), context.calls, context.coordinator.state());
  return response;
}

HttpResponse responseOf(const Result<Answer>& answer, const std::string& requestId) {
  if (!answer) return problemResponse(answer.refusal(), requestId);
  HttpResponse response;
  response.body = answer->json + "\n";
  response.headers["X-Muster-Index"] = std::to_string(answer->index.value);
  if (answer->stale) response.headers["X-Muster-Age-Ms"] = std::to_string(answer->age.millis());
  return response;
}

// Linearizable, from what is applied here: the leader says which index must be in it.
AnswerPromise readConsistent(ApiContext& context, const HttpRequest& request, ReadObject read) {
  return newestIndex(context, request)
      .then([&context, read = kj::mv(read)](Result<LogIndex> newest) mutable -> AnswerPromise {
        if (!newest) return Result<Answer>(newest.refusal());
        ApiCall call{"", {}, *newest};
        ReadCall how;
        how.stale = true;
        return readObject(context, kj::mv(call), how, kj::mv(read)).then([](Result<Answer> answer) {
          if (answer) answer->stale = false;
          return answer;
        });
      });
}

// What is applied here, marked with its index and age; with ?consistent=true the newest there is.
kj::Promise<HttpResponse> answerRead(ApiContext& context, const HttpRequest& request,
                                     ReadObject read) {
  auto isConsistent = flagIn(request.query, "consistent");
  if (!isConsistent) return problemResponse(isConsistent.refusal(), request.requestId);
  ReadCall how;
  how.stale = true;
  auto answer = *isConsistent ? readConsistent(context, request, kj::mv(read))
                              : readObject(context, {}, how, kj::mv(read));
  return answer.then(
      [id = request.requestId](Result<Answer> read) { return responseOf(read, id); });
}

// All but what answerRead() reads by itself.
QueryParameters otherParameters(QueryParameters query) {
  query.erase("consistent");
  return query;
}

kj::Promise<HttpResponse> cluster(ApiContext& context, const HttpRequest& request) {
  if (auto refusal = refuseParameters(otherParameters(request.query), {})) {
    return problemResponse(*refusal, request.requestId);
  }
  ApiContext* self = &context;
  return answerRead(context, request, [self](const ObjectView& view) -> Result<Json> {
    return clusterObject(view, clusterFacts(*self));
  });
}

kj::Promise<HttpResponse> list(ApiContext& context, const HttpRequest& request, ListKind kind) {
  auto page = parsePage(otherParameters(request.query), kind);
  if (!page) return problemResponse(page.refusal(), request.requestId);
  return answerRead(context, request, [kind, page = *page](const ObjectView& view) -> Result<Json> {
    return listPage(view, kind, page);
  });
}

kj::Promise<HttpResponse> nodes(ApiContext& context, const HttpRequest& request) {
  return list(context, request, ListKind::NODES);
}

kj::Promise<HttpResponse> deployments(ApiContext& context, const HttpRequest& request) {
  return list(context, request, ListKind::DEPLOYMENTS);
}

constexpr Route ROUTES[] = {
    {"/healthz", true, health},      {"/readyz", true, ready},
    {"/metrics", false, metrics},    {"/api/v1/cluster", false, cluster},
    {"/api/v1/nodes", false, nodes}, {"/api/v1/deployments", false, deployments},
};

const Route* findRoute(const std::string& path) {
  auto route = std::ranges::find_if(ROUTES, [&](const Route& r) { return path == r.path; });
  return route == std::end(ROUTES) ? nullptr : &*route;
}

HttpResponse noSuchRoute(const HttpRequest& request) {
  std::vector<std::string> known;
  for (const Route& route : ROUTES) known.emplace_back(route.path);
  known.emplace_back(WATCH_PATH);
  for (std::string& path : changePaths()) known.push_back(std::move(path));
  return problemResponse(
      {RefusalCode::NOT_FOUND, "there is nothing at " + request.path + hint(request.path, known)},
      request.requestId);
}

HttpResponse notThisMethod(const HttpRequest& request, bool isRead) {
  std::string allowed = isRead ? "GET" : "";
  for (const std::string& method : changeMethodsAt(request.path)) {
    allowed += (allowed.empty() ? "" : ", ") + method;
  }
  HttpResponse response = problemResponse(
      {RefusalCode::INVALID_VALUE, request.path + " takes " + allowed + ", not " + request.method},
      request.requestId, 405);
  response.headers["Allow"] = allowed;
  return response;
}

std::optional<Refusal> denial(const HttpRequest& request) {
  if (!request.peerIdentity) {
    return Refusal{RefusalCode::NOT_AUTHENTICATED,
                   request.path + " asks for a client certificate of role viewer or above"};
  }
  Role role = request.peerIdentity->role;
  if (includes(role, Role::VIEWER)) return std::nullopt;
  if (role == Role::GATEWAY && request.path == WATCH_PATH) return std::nullopt;
  return Refusal{RefusalCode::NOT_ALLOWED,
                 commonName(*request.peerIdentity) + " may not call " + request.path};
}

}  // namespace

Readiness readinessOf(const CoordinatorFacts& facts, Duration age) {
  Readiness readiness;
  bool isConnected = facts.session == failover::SessionState::CONNECTED;
  readiness.elected = facts.stage != Stage::STANDBY;
  readiness.serving = facts.stage == Stage::SERVING;
  bool keepsUp = facts.stage == Stage::STANDBY && isConnected && age <= FRESH_FOR;
  readiness.caughtUp = readiness.serving || facts.stage == Stage::CAUGHT_UP || keepsUp;
  if (!facts.alarm.empty()) readiness.reasons.push_back(facts.alarm);
  for (const auto& [kind, text] : facts.alarms.active()) readiness.reasons.push_back(text);
  if (readiness.serving) return readiness;
  if (readiness.elected) {
    readiness.reasons.push_back(readiness.caughtUp ? "elected and caught up, not serving yet"
                                                   : "elected, reading the log to its end");
  } else if (!isConnected) {
    readiness.reasons.emplace_back("no session with the coordination service");
  } else if (!keepsUp) {
    readiness.reasons.push_back(age < AGE_UNKNOWN
                                    ? "the log was last read to its end " + toAge(age) + " ago"
                                    : "the log was not read to its end yet");
  }
  return readiness;
}

kj::Promise<HttpResponse> HttpApi::handle(HttpRequest request) {
  const Route* route = findRoute(request.path);
  std::string name = route != nullptr ? route->path : "other";
  if (auto change = changeAt(request.method, request.path)) name = *change;
  if (request.path == WATCH_PATH) name = WATCH_PATH;
  SteadyTime began = context_.env().clock.steadyNow();
  return this->route(request).then([this, name, began](HttpResponse response) {
    context_.calls.http[{name, response.status}].add(context_.env().clock.steadyNow() - began);
    return response;
  });
}

kj::Promise<HttpResponse> HttpApi::route(const HttpRequest& request) {
  const Route* route = findRoute(request.path);
  bool isOpen = route != nullptr && route->isOpen;
  if (certificates_ == ClientCertificates::REQUIRED && !isOpen) {
    if (auto refusal = denial(request)) return problemResponse(*refusal, request.requestId);
  }
  bool isWatch = request.path == WATCH_PATH;
  if (isWatch && request.method == "GET") return answerWatch(context_, hub_, request);
  if (changeAt(request.method, request.path)) return answerChange(context_, request);
  bool isRead = route != nullptr || isWatch;
  bool isKnown = isRead || !changeMethodsAt(request.path).empty();
  if (!isKnown) return noSuchRoute(request);
  if (route == nullptr || request.method != "GET") return notThisMethod(request, isRead);
  return route->answer(context_, request);
}

}  // namespace muster::coordinator
