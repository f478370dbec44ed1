// Routes, refusals and marks of the HTTP port, on a coordinator that has no session.
#include "coordinator/http_api.h"

#include "base/event_loop.h"
#include "tests/support/memory_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace muster::coordinator::http_api_test {
namespace {

using ::testing::HasSubstr;

// Nobody is ever reached.
class NoService final : public failover::CoordinationService {
 public:
  kj::Own<failover::CoordinationSession> open() override { KJ_FAIL_REQUIRE("not in this test"); }
};

class NoTransport final : public Transport {
 public:
  kj::Promise<kj::Own<Connection>> connect(std::string, Role) override {
    return KJ_EXCEPTION(DISCONNECTED, "not in this test");
  }
  kj::Promise<kj::Own<Listener>> listen(std::string,
                                        kj::Function<void(kj::Own<Connection>)>) override {
    return KJ_EXCEPTION(FAILED, "not in this test");
  }
};

class HttpApiTest : public ::testing::Test {
 protected:
  HttpApiTest() {
    store.claim({"test"}, {1, {5, 6}});
    coordinator.openStore();
  }
  ~HttpApiTest() noexcept override {}

  HttpResponse ask(const std::string& path, std::optional<Role> role = Role::VIEWER,
                   const std::string& method = "GET",
                   std::map<std::string, std::string> query = {}) {
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.query = std::move(query);
    request.requestId = "r1";
    if (role) request.peerIdentity = PeerIdentity{*role, "anna"};
    return http.handle(std::move(request)).wait(loop.waitScope());
  }
  static Json jsonOf(const HttpResponse& response) { return Json::parse(response.body); }

  EventLoop loop;
  SystemClock clock;
  SeededRandom random{1};
  NoService service;
  NoTransport transport;
  MemoryDisk disk;
  MemoryStore store{disk};
  Logger logger{LogOptions{.output = [](std::string_view) {}}};
  Coordinator coordinator{{loop.timer(), clock, random, service, store, transport, logger},
                          {{"test"}, {"co1"}, "127.0.0.1:0", "127.0.0.1:7401", "1.0"}};
  PlanBook plans;
  CallStats calls;
  ApiContext context{coordinator, plans, calls, {{{"co1"}, "127.0.0.1:7401"}}};
  HttpApi http{context, ClientCertificates::REQUIRED};
};

TEST_F(HttpApiTest, healthIsOpenAndReadinessTellsThreeFactsApart) {
  EXPECT_EQ(ask("/healthz", std::nullopt).status, 200);
  auto ready = ask("/readyz", std::nullopt);
  EXPECT_EQ(ready.status, 503);
  Json json = jsonOf(ready);
  EXPECT_EQ(json["elected"], false);
  EXPECT_EQ(json["caught_up"], false);
  EXPECT_EQ(json["serving"], false);
  EXPECT_EQ(json["reasons"][0], "no session with the coordination service");
}

TEST(Readiness, table) {
  struct Case {
    const char* name;
    Stage stage;
    failover::SessionState session;
    Duration age;
    const char* alarm;
    bool elected, caughtUp, serving, ready;
  };
  using enum failover::SessionState;
  const Case cases[] = {
      {"standby that keeps up", Stage::STANDBY, CONNECTED, 1_s, "", false, true, false, true},
      {"standby behind", Stage::STANDBY, CONNECTED, 60_s, "", false, false, false, false},
      {"no session", Stage::STANDBY, CONNECTING, 1_s, "", false, false, false, false},
      {"elected", Stage::ELECTED, CONNECTED, 1_s, "", true, false, false, false},
      {"caught up", Stage::CAUGHT_UP, CONNECTED, 1_s, "", true, true, false, false},
      {"serving", Stage::SERVING, CONNECTED, 0_s, "", true, true, true, true},
      {"alarm", Stage::STANDBY, CONNECTED, 0_s, "E0704", false, true, false, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    CoordinatorFacts facts;
    facts.stage = c.stage;
    facts.session = c.session;
    facts.alarm = c.alarm;
    Readiness readiness = readinessOf(facts, c.age);
    EXPECT_EQ(readiness.elected, c.elected);
    EXPECT_EQ(readiness.caughtUp, c.caughtUp);
    EXPECT_EQ(readiness.serving, c.serving);
    EXPECT_EQ(readiness.ready(), c.ready);
  }
}

TEST_F(HttpApiTest, asksForACertificateOfAHumanRole) {
  for (const char* path : {"/metrics", "/api/v1/nodes", "/api/v1/nothing"}) {
    EXPECT_EQ(ask(path, std::nullopt).status, 401) << path;
    EXPECT_EQ(ask(path, Role::WORKER).status, 403) << path;
    EXPECT_EQ(ask(path, Role::GATEWAY).status, 403) << path;
  }
  EXPECT_EQ(ask("/metrics", Role::VIEWER).status, 200);
  EXPECT_EQ(ask("/metrics", Role::ADMIN).status, 200);
  HttpApi open(context, ClientCertificates::OFF);
  EXPECT_EQ(open.handle({.method = "GET", .path = "/metrics"}).wait(loop.waitScope()).status, 200);
}

TEST_F(HttpApiTest, aCoordinatorWithoutAStateAnswersNothingFromIt) {
  MemoryDisk emptyDisk;
  MemoryStore emptyStore(emptyDisk);
  Coordinator fresh{{loop.timer(), clock, random, service, emptyStore, transport, logger},
                    {{"test"}, {"co1"}, "127.0.0.1:0", "127.0.0.1:7401", "1.0"}};
  fresh.openStore();
  ApiContext without{fresh, plans, calls, {}};
  HttpApi open(without, ClientCertificates::OFF);
  auto nodes = open.handle({.method = "GET", .path = "/api/v1/nodes"}).wait(loop.waitScope());
  EXPECT_EQ(nodes.status, 503);
  EXPECT_EQ(jsonOf(nodes)["code"], "E0701");
}

TEST_F(HttpApiTest, listsAreMarkedStaleAndPaged) {
  auto nodes = ask("/api/v1/nodes");
  EXPECT_EQ(nodes.status, 200);
  EXPECT_EQ(nodes.headers["X-Muster-Index"], "0");
  EXPECT_FALSE(nodes.headers["X-Muster-Age-Ms"].empty());
  Json json = jsonOf(nodes);
  EXPECT_EQ(json["version"], 1);
  EXPECT_TRUE(json["items"].empty());
  EXPECT_TRUE(json["next_cursor"].is_null());
  EXPECT_EQ(jsonOf(ask("/api/v1/cluster"))["cluster"], "test");
  EXPECT_EQ(ask("/api/v1/deployments", Role::VIEWER, "GET", {{"tenant", "search"}}).status, 200);
}

TEST_F(HttpApiTest, refusesInProblemJson) {
  struct Case {
    const char* path;
    const char* method;
    std::map<std::string, std::string> query;
    int status;
    const char* text;
  };
  const Case cases[] = {
      {"/api/v1/node", "GET", {}, 404, "did you mean \"/api/v1/nodes\"?"},
      {"/api/v1/nodes", "POST", {}, 405, "/api/v1/nodes takes GET, not POST"},
      {"/api/v1/apply", "GET", {}, 405, "/api/v1/apply takes POST, not GET"},
      {"/api/v1/aply", "POST", {}, 404, "did you mean \"/api/v1/apply\"?"},
      {"/api/v1/plan", "POST", {{"dry_run", "true"}}, 400, "no parameter \"dry_run\""},
      {"/api/v1/apply", "POST", {{"dry_run", "yes"}}, 400, "dry_run is \"yes\""},
      {"/api/v1/nodes", "GET", {{"consistent", "1"}}, 400, "consistent is \"1\""},
      {"/api/v1/nodes", "GET", {{"limt", "3"}}, 400, "did you mean \"limit\"?"},
      {"/api/v1/nodes", "GET", {{"tenant", "a"}}, 400, "no parameter \"tenant\""},
      {"/api/v1/nodes", "GET", {{"limit", "0"}}, 400, "limit is \"0\""},
      {"/api/v1/nodes", "GET", {{"limit", "9e9"}}, 400, "limit is \"9e9\""},
      {"/api/v1/deployments", "GET", {{"cursor", "x"}}, 400, "cursor is \"x\""},
      {"/api/v1/cluster", "GET", {{"x", "1"}}, 400, "no parameter \"x\""},
      {"/api/v1/watch", "GET", {{"kinds", "routes"}}, 400, "did you mean \"route\"?"},
      {"/api/v1/watch", "GET", {{"kind", "route"}}, 400, "did you mean \"kinds\"?"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.method) + " " + c.path);
    auto response = ask(c.path, Role::VIEWER, c.method, c.query);
    EXPECT_EQ(response.status, c.status);
    EXPECT_EQ(response.contentType, "application/problem+json");
    Json problem = jsonOf(response);
    EXPECT_THAT(std::string(problem["detail"]), HasSubstr(c.text));
    EXPECT_EQ(problem["request_id"], "r1");
  }
  EXPECT_EQ(ask("/api/v1/nodes", Role::VIEWER, "POST").headers["Allow"], "GET");
}

TEST_F(HttpApiTest, withoutALeaderChangesAndConsistentReadsAreToldToComeBack) {
  struct Case {
    const char* method;
    const char* path;
    std::map<std::string, std::string> query;
  };
  const Case cases[] = {
      {"POST", "/api/v1/plan", {}},
      {"POST", "/api/v1/apply", {{"dry_run", "true"}}},
      {"DELETE", "/api/v1/deployments/default/chat", {}},
      {"POST", "/api/v1/deployments/default/chat/scale", {}},
      {"POST", "/api/v1/nodes/gpu01/cordon", {}},
      {"POST", "/api/v1/nodes/gpu01/uncordon", {}},
      {"POST", "/api/v1/nodes/gpu01/drain", {}},
      {"GET", "/api/v1/nodes", {{"consistent", "true"}}},
      {"GET", "/api/v1/cluster", {{"consistent", "true"}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.path);
    auto response = ask(c.path, Role::ADMIN, c.method, c.query);
    EXPECT_EQ(response.status, 503);
    EXPECT_EQ(response.headers["Retry-After"], "1");
    EXPECT_EQ(response.contentType, "application/problem+json");
    Json problem = jsonOf(response);
    EXPECT_EQ(problem["retryable"], true);
    EXPECT_TRUE(std::string(problem["code"]).starts_with("E07")) << problem["code"];
  }
}

TEST_F(HttpApiTest, gatewaysAndViewersWatchAndOthersDoNot) {
  for (Role role : {Role::GATEWAY, Role::VIEWER, Role::ADMIN}) {
    EXPECT_EQ(ask("/api/v1/watch", role).status, 200) << static_cast<int>(role);
  }
  EXPECT_EQ(ask("/api/v1/watch", std::nullopt).status, 401);
  EXPECT_EQ(ask("/api/v1/watch", Role::WORKER).status, 403);
}

TEST_F(HttpApiTest, aWatcherHearsASnapshotFirst) {
  auto answer = ask("/api/v1/watch", Role::GATEWAY, "GET", {{"kinds", "route,node"}});
  EXPECT_EQ(answer.contentType, "text/event-stream");
  ASSERT_NE(answer.stream, nullptr);
  auto event = answer.stream->next().wait(loop.waitScope());
  ASSERT_TRUE(event.has_value());
  EXPECT_THAT(*event, ::testing::StartsWith("id: 1-00000000000000050000000000000006/0\n"
                                            "event: snapshot\ndata: {\"version\":1,"));
  EXPECT_TRUE(event->ends_with("\"items\":[]}\n\n")) << *event;
}

TEST_F(HttpApiTest, aWatcherThatHasSeenAllHearsOnlyThatItIsThere) {
  HttpRequest request;
  request.method = "GET";
  request.path = "/api/v1/watch";
  request.peerIdentity = PeerIdentity{Role::GATEWAY, "gw1"};
  request.headers["last-event-id"] = "1-00000000000000050000000000000006/0";
  auto answer = http.handle(request).wait(loop.waitScope());
  ASSERT_NE(answer.stream, nullptr);
  EXPECT_THAT(*answer.stream->next().wait(loop.waitScope()), ::testing::StartsWith(": resumed at"));
  request.headers["last-event-id"] = "yesterday";
  EXPECT_EQ(http.handle(request).wait(loop.waitScope()).status, 400);
}

// Every line is a comment or `name{labels} number`; families are named once.
TEST_F(HttpApiTest, metricsAreWellFormedAndComplete) {
  calls.rpc["get"].add(2_ms);
  calls.rpcErrors[{"get", "E0304"}]++;
  ask("/nothing");
  std::istringstream lines(ask("/metrics").body);
  std::set<std::string> families;
  std::map<std::string, double> values;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      std::string name = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(name).second) << "twice: " << line;
    }
    if (line.starts_with("#")) continue;
    size_t space = line.rfind(' ');
    ASSERT_NE(space, std::string::npos) << line;
    EXPECT_TRUE(line.starts_with("muster_")) << line;
    values[line.substr(0, space)] = std::stod(line.substr(space + 1));
  }
  for (const char* name :
       {"muster_build_info", "muster_coordinator_is_leader", "muster_coordinator_elections_total",
        "muster_zookeeper_session_state", "muster_reconcile_duration_seconds",
        "muster_placement_duration_seconds", "muster_placement_failures_total",
        "muster_deployment_phase", "muster_deployment_replicas", "muster_pending_gpus",
        "muster_node_up", "muster_node_cordoned", "muster_rpc_duration_seconds",
        "muster_rpc_errors_total", "muster_http_request_duration_seconds"}) {
    EXPECT_TRUE(families.contains(name)) << name;
  }
  EXPECT_EQ(values["muster_coordinator_is_leader"], 0);
  EXPECT_EQ(values["muster_zookeeper_session_state{state=\"connecting\"}"], 1);
  EXPECT_EQ(values["muster_rpc_duration_seconds_bucket{method=\"get\",le=\"0.001\"}"], 0);
  EXPECT_EQ(values["muster_rpc_duration_seconds_bucket{method=\"get\",le=\"0.003\"}"], 1);
  EXPECT_EQ(values["muster_rpc_errors_total{method=\"get\",code=\"E0304\"}"], 1);
  EXPECT_EQ(values["muster_http_request_duration_seconds_count{route=\"other\",code=\"404\"}"], 1);
}

}  // namespace
}  // namespace muster::coordinator::http_api_test
