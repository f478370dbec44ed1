// The coordinators' API as a client sees it: three coordinator processes and workers on a real
// ZooKeeper, over mutual TLS.
#include "tests/support/api_client.h"
#include "tests/support/worker_process.h"
#include "tests/support/zk_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/compat/tls.h>

#include <filesystem>
#include <functional>
#include <set>

namespace muster::api_test {
namespace {

using nlohmann::json;
using support::ApiAnswer;
using support::ApiClient;
using testing::HasSubstr;

const ClusterName CLUSTER{"test"};
constexpr auto PATIENCE = 40 * kj::SECONDS;

class ApiTest : public testing::Test {
 protected:
  ~ApiTest() noexcept override {}  // as gtest's own: an event loop's may throw

  void SetUp() override {
    std::filesystem::create_directory(models / "any");
    auto made = coordinators.run({"--config", coordinators.configPath(0), "--bootstrap"});
    ASSERT_EQ(made.code, 0) << made.output;
    for (size_t i = 0; i < coordinators.count(); i++) coordinators.start(i);
    await("a leader serves", [&] { return findLeader(); });
  }

  // A deployment that needs no weights: its ranks run a command.
  std::string running(const std::string& name, const std::string& command) {
    return "version: 1\nname: " + name + "\nmodel: file:" + (models / "any") +
           "\nengine: {kind: process, command: " + command + "}\ngpus: 1\n";
  }
  std::string sleeper(const std::string& name, int replicas = 1, const std::string& more = "") {
    return running(name, "[/bin/sleep, '1000']") + "replicas: " + std::to_string(replicas) + "\n" +
           more;
  }
  void await(const std::string& what, std::function<bool()> isSo) {
    auto deadline = loop.timer().now() + PATIENCE;
    while (!isSo()) {
      ASSERT_LT(loop.timer().now(), deadline) << "waited in vain until " << what << "\n"
                                              << last << coordinators.log(leader);
      loop.timer().afterDelay(10 * kj::MILLISECONDS).wait(loop.waitScope());
    }
  }
  kj::Own<ApiClient> connect(size_t member, Role role = Role::ADMIN) {
    return kj::heap<ApiClient>(loop, CLUSTER, coordinators.certificate({role, "anna"}),
                               coordinators.address(member));
  }
  bool findLeader() {
    for (size_t i = 0; i < coordinators.count(); i++) {
      bool serves = false;
      auto failed = kj::runCatchingExceptions([&] {
        auto candidate = connect(i);
        serves = candidate->hello().getInfo().getStage() == 3;
        if (serves) client = kj::mv(candidate);
      });
      if (serves && failed == nullptr) return leader = i, true;
    }
    return false;
  }
  void startWorkers(size_t count) {
    for (size_t i = 0; i < count; i++) workers.start(i);
    await("nodes are Ready", [&] {
      auto nodes = ask([&] { return client->get("nodes"); });
      size_t ready = 0;
      for (auto& node : nodes["items"]) {
        ready += node["status"]["phase"] == "Ready" && node["status"]["attached"] == true ? 1 : 0;
      }
      return ready == count;
    });
  }
  json ask(std::function<ApiAnswer()> call) {
    ApiAnswer answer = call();
    last = answer.refusal ? answer.refusal->text : answer.json.dump();
    return answer.json;
  }
  std::string phaseOf(const std::string& deployment) {
    json list = ask([&] { return client->get("deployments", deployment); });
    return list.is_null() ? "" : std::string(list["items"][0]["status"]["phase"]);
  }
  void awaitPhase(const std::string& deployment, const std::string& phase) {
    await(deployment + " is " + phase, [&] { return phaseOf(deployment) == phase; });
  }

  // One GET to the leader's HTTP port, over TLS; shows a certificate unless there is none.
  std::string httpGet(const std::string& path, std::optional<Role> role) {
    auto files = coordinators.certificate({role.value_or(Role::VIEWER), "anna"});
    kj::TlsContext::Options options;
    options.useSystemTrustStore = false;
    auto ca = contentOf(files.ca);
    kj::TlsCertificate trusted{kj::StringPtr(ca.c_str())};
    options.trustedCertificates = kj::arrayPtr(&trusted, 1);
    kj::Maybe<kj::TlsKeypair> pair;
    if (role) {
      auto key = contentOf(files.key);
      auto certificate = contentOf(files.certificate);
      pair = kj::TlsKeypair{kj::TlsPrivateKey(kj::StringPtr(key.c_str())),
                            kj::TlsCertificate(kj::StringPtr(certificate.c_str()))};
      KJ_IF_MAYBE (keypair, pair) options.defaultKeypair = *keypair;
    }
    kj::TlsContext tls(kj::mv(options));
    std::string log = coordinators.log(leader);
    auto port = std::stoul(log.substr(log.rfind("http_port=") + 10));
    auto& scope = loop.waitScope();
    auto address = loop.network().parseAddress("127.0.0.1", static_cast<uint>(port)).wait(scope);
    auto raw = address->connect().wait(scope);
    auto stream = tls.wrapClient(kj::mv(raw), "coordinator.test.muster").wait(scope);
    std::string head = "GET " + path + " HTTP/1.1\r\nHost: x\r\nX-Request-Id: r-7\r\n" +
                       "Connection: close\r\n\r\n";
    stream->write(head.data(), head.size()).wait(scope);
    return stream->readAllText().wait(scope).cStr();
  }

  support::ZkServers zookeeper{1};
  support::CoordinatorProcesses coordinators{CLUSTER, zookeeper.addresses(), 3};
  TemporaryFolder models;
  support::WorkerProcesses workers{CLUSTER, coordinators, 2, models.path()};
  EventLoop loop;
  size_t leader = 0;
  kj::Own<ApiClient> client;
  std::string last;
};

TEST_F(ApiTest, appliesAndShowsADeploymentUntilItIsReady) {
  startWorkers(2);
  auto id = client->newId();
  auto applied = client->apply(sleeper("chat", 2), id);
  ASSERT_FALSE(applied.refusal) << applied.refusal->text;
  EXPECT_EQ(applied.json["kind"], "applied");
  EXPECT_EQ(applied.json["deployments"][0]["action"], "add");
  EXPECT_EQ(applied.json["deployments"][0]["revision"], 1);
  EXPECT_EQ(applied.json["index"], applied.index);
  // A retry is the same request.
  auto again = client->apply(sleeper("chat", 2), id);
  EXPECT_EQ(again.json, applied.json);

  awaitPhase("chat", "Ready");
  auto ranks = client->get("ranks", "chat", false, applied.index).json["items"];
  ASSERT_EQ(ranks.size(), 2u);
  EXPECT_GT(ranks[0]["pid"], 0);
  EXPECT_NE(ranks[0]["node"], ranks[1]["node"]) << "replicas go to different nodes";
  EXPECT_EQ(client->get("gpus").json["items"].size(), 4u);
  auto why = client->why("chat");
  EXPECT_EQ(why.json["phase"], "Ready");
  auto events = client->get("events", "chat").json["items"];
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(events[0]["type"], "Rollout");
  EXPECT_EQ(events[0]["principal"], "admin/anna");

  auto scaled = client->scale("chat", 1, client->newId());
  EXPECT_EQ(scaled.json["revision"], 2);
  await("one is gone", [&] { return client->get("ranks", "chat").json["items"].size() == 1; });
  auto removed = client->remove("chat", client->newId());
  ASSERT_FALSE(removed.refusal) << removed.refusal->text;
  await("it is gone", [&] { return client->get("deployments").json["items"].empty(); });
  auto gone = client->get("deployments", "chat");
  ASSERT_TRUE(gone.refusal);
  EXPECT_EQ(gone.refusal->code, RefusalCode::NOT_FOUND);
}

TEST_F(ApiTest, carriesOutExactlyThePlanOrSaysWhatHasChanged) {
  startWorkers(2);
  auto plan = client->plan(sleeper("chat"));
  ASSERT_FALSE(plan.refusal) << plan.refusal->text;
  std::string id = plan.json["id"];
  EXPECT_TRUE(id.starts_with("p-")) << id;
  auto& row = plan.json["deployments"][0];
  EXPECT_EQ(row["action"], "add");
  EXPECT_EQ(plan.json["summary"]["add"], 1);
  ASSERT_EQ(row["placement"].size(), 1u) << plan.json.dump(1);
  EXPECT_TRUE(client->get("deployments").json["items"].empty()) << "a plan changes nothing";

  auto request = client->newId();
  auto applied = client->applyPlan(id, request);
  ASSERT_FALSE(applied.refusal) << applied.refusal->text;
  EXPECT_EQ(client->applyPlan(id, request).json, applied.json) << "a retry is the same request";
  auto ranks = client->get("ranks", "chat").json["items"];
  ASSERT_EQ(ranks.size(), 1u) << "placed by the plan, at once";
  EXPECT_EQ(ranks[0]["node"], row["placement"][0]["nodes"][0]["node"]);
  EXPECT_EQ(ranks[0]["devices"], row["placement"][0]["nodes"][0]["devices"]);

  auto stale = client->applyPlan(id, client->newId());
  ASSERT_TRUE(stale.refusal);
  EXPECT_EQ(stale.refusal->code, RefusalCode::REVISION_CONFLICT);
  EXPECT_THAT(stale.refusal->text, HasSubstr("was absent and is revision 1"));
  auto unknown = client->applyPlan("p-0000", client->newId());
  ASSERT_TRUE(unknown.refusal);
  EXPECT_EQ(unknown.refusal->code, RefusalCode::PLAN_UNKNOWN);

  // A cordon changes where the plan's placement may go; a heartbeat does not.
  auto second = client->plan(sleeper("more"));
  auto cordon = client->api().cordonRequest();
  cordon.setNode("w2");
  cordon.setReason("fan");
  ASSERT_FALSE(client->call(cordon, client->newId()).refusal);
  auto moved = client->applyPlan(second.json["id"], client->newId());
  ASSERT_TRUE(moved.refusal);
  EXPECT_THAT(moved.refusal->text, HasSubstr("have changed since cluster revision"));
}

TEST_F(ApiTest, planOfAChangeSaysWhatItCostsAndWhereItGoes) {
  startWorkers(1);
  ASSERT_FALSE(client->apply(sleeper("chat"), client->newId()).refusal);
  awaitPhase("chat", "Ready");
  auto plan = client->plan(sleeper("chat", 1, "timeouts: {ready: 5m}\n"));
  ASSERT_FALSE(plan.refusal) << plan.refusal->text;
  auto& row = plan.json["deployments"][0];
  EXPECT_EQ(row["action"], "change");
  EXPECT_EQ(row["revision_before"], 1);
  EXPECT_EQ(row["revision_after"], 2);
  EXPECT_EQ(row["changes"][0]["path"], "timeouts.ready");
  EXPECT_EQ(row["changes"][0]["restarts_ranks"], true);
  EXPECT_THAT(std::string(row["disruption"]), HasSubstr("gap"));
  EXPECT_EQ(row["placement"].size(), 1u);
  auto same = client->plan(sleeper("chat"));
  EXPECT_EQ(same.json["deployments"][0]["action"], "none");
  EXPECT_EQ(same.json["summary"]["change"], 0);
}

TEST_F(ApiTest, refusesWithPlacesCodesAndSuggestions) {
  auto typo =
      client->apply("version: 1\nname: chat\nmodel: file:/m\nparalell: {tp: 8}\n", client->newId());
  ASSERT_TRUE(typo.refusal);
  EXPECT_EQ(typo.refusal->code, RefusalCode::UNKNOWN_FIELD);
  ASSERT_FALSE(typo.refusal->errors.empty());
  EXPECT_EQ(typo.refusal->errors[0].line, 4u);
  EXPECT_THAT(typo.refusal->errors[0].hint, HasSubstr("parallel"));
  // Nobody is there to inspect the model.
  auto native = client->apply("version: 1\nname: chat\nmodel: file:/models/m\n", client->newId());
  ASSERT_TRUE(native.refusal);
  EXPECT_EQ(native.refusal->code, RefusalCode::NO_WORKER);
  auto kind = client->get("deploymnts");
  ASSERT_TRUE(kind.refusal);
  EXPECT_THAT(kind.refusal->text, HasSubstr("did you mean \"deployments\"?"));
  auto node = client->drain("w9", client->newId());
  ASSERT_TRUE(node.refusal);
  EXPECT_EQ(node.refusal->code, RefusalCode::NOT_FOUND);
  auto nameless = client->apply(sleeper("chat"), {});
  ASSERT_TRUE(nameless.refusal);
  EXPECT_THAT(nameless.refusal->text, HasSubstr("request id"));
  auto twoRevisions = client->apply(sleeper("a") + "---\n" + sleeper("b"), client->newId(), 3);
  ASSERT_TRUE(twoRevisions.refusal);
}

TEST_F(ApiTest, takesAllDocumentsOrNone) {
  startWorkers(1);
  ASSERT_FALSE(client->apply(sleeper("b"), client->newId()).refusal);
  // The second cannot ever fit: the first is not taken either.
  std::string never = sleeper("huge") + "gpu: {min_memory: 900GiB}\n";
  auto refused = client->apply(sleeper("a") + "---\n" + never, client->newId());
  ASSERT_TRUE(refused.refusal);
  EXPECT_EQ(refusalInfo(refused.refusal->code).exitCode, 8);
  EXPECT_EQ(client->get("deployments").json["items"].size(), 1u);
  auto both = client->apply(sleeper("a") + "---\n" + sleeper("b"), client->newId());
  ASSERT_FALSE(both.refusal) << both.refusal->text;
  EXPECT_EQ(both.json["deployments"][0]["action"], "add");
  EXPECT_EQ(both.json["deployments"][1]["action"], "none");
  auto dry = client->apply(sleeper("c"), {}, 0, true);
  EXPECT_EQ(dry.json["dry_run"], true);
  EXPECT_EQ(client->get("deployments").json["items"].size(), 2u);
  auto conflict = client->apply(sleeper("a", 2), client->newId(), 7);
  ASSERT_TRUE(conflict.refusal);
  EXPECT_EQ(conflict.refusal->code, RefusalCode::REVISION_CONFLICT);
}

TEST_F(ApiTest, standbysSendToTheLeaderAndAnswerStaleReads) {
  startWorkers(1);
  auto applied = client->apply(sleeper("chat"), client->newId());
  ASSERT_FALSE(applied.refusal);
  auto standby = connect((leader + 1) % 3);
  auto write = standby->apply(sleeper("other"), standby->newId());
  ASSERT_TRUE(write.refusal);
  EXPECT_EQ(write.refusal->code, RefusalCode::NOT_LEADER);
  EXPECT_EQ(standby->get("nodes").refusal->code, RefusalCode::NOT_LEADER);
  EXPECT_EQ(standby->hello().getInfo().getLeaderAddress(), coordinators.address(leader).c_str());
  // Never answered from before what the client has seen.
  auto stale = standby->get("deployments", "", true, applied.index);
  ASSERT_FALSE(stale.refusal) << stale.refusal->text;
  EXPECT_TRUE(stale.stale);
  EXPECT_GE(stale.index, applied.index);
  EXPECT_EQ(stale.json["items"].size(), 1u);
  auto future = standby->get("deployments", "", true, applied.index + 1'000'000);
  ASSERT_TRUE(future.refusal);
  EXPECT_TRUE(refusalInfo(future.refusal->code).retryable);
}

TEST_F(ApiTest, pendingDeploymentSaysWhyAndWhatWouldHelp) {
  startWorkers(1);
  ASSERT_FALSE(client->apply(sleeper("big", 2), client->newId()).refusal);
  awaitPhase("big", "Ready");
  ASSERT_FALSE(client->apply(sleeper("late"), client->newId()).refusal);
  await("it waits",
        [&] { return ask([&] { return client->why("late"); })["reason"] == "WaitingForCapacity"; });
  json why = client->why("late").json;
  EXPECT_EQ(why["code"], "E0401");
  EXPECT_FALSE(std::string(why["wants"]).empty());
  ASSERT_EQ(why["verdicts"].size(), 1u);
  EXPECT_EQ(why["verdicts"][0]["node"], "w1");
  EXPECT_THAT(std::string(why["verdicts"][0]["detail"]), HasSubstr("big"));
  EXPECT_FALSE(std::string(why["next"]).empty());
  EXPECT_FALSE(why["fix"].empty());
  auto drained = client->drain("w1", client->newId());
  ASSERT_FALSE(drained.refusal) << drained.refusal->text;
  ASSERT_EQ(drained.json["blocked"].size(), 2u) << drained.json.dump(1);
  EXPECT_FALSE(std::string(drained.json["blocked"][0]["message"]).empty());
}

TEST_F(ApiTest, logsAndTheFirstErrorAreReadFromTheNodes) {
  startWorkers(1);
  std::string loud = running("loud", "[/bin/sh, -c, 'echo hello from rank; sleep 1000']");
  ASSERT_FALSE(client->apply(loud, client->newId()).refusal);
  awaitPhase("loud", "Ready");
  await("its line is there", [&] {
    json logs = ask([&] { return client->logs("loud/0/0"); });
    return !logs["lines"].empty() && logs["lines"][0]["text"] == "hello from rank";
  });
  EXPECT_TRUE(client->logs("loud").json["first_error"].is_null());
  std::string broken =
      running("broken", "[/bin/sh, -c, 'echo \"Error: no such port\" >&2; exit 3']");
  ASSERT_FALSE(client->apply(broken, client->newId()).refusal);
  await("its error is known", [&] {
    json logs = ask([&] { return client->logs("broken"); });
    return !logs["first_error"].is_null() && logs["first_error"]["cause"] != "";
  });
  json error = client->logs("broken").json["first_error"];
  EXPECT_EQ(error["rank"], 0);
  EXPECT_EQ(error["node"], "w1");
  EXPECT_FALSE(std::string(error["cause"]).empty());
}

TEST_F(ApiTest, httpsShowsHealthToAllAndTheRestToHumans) {
  EXPECT_THAT(httpGet("/healthz", std::nullopt), HasSubstr("HTTP/1.1 200 "));
  auto ready = httpGet("/readyz", std::nullopt);
  EXPECT_THAT(ready, HasSubstr("HTTP/1.1 200 "));
  EXPECT_THAT(ready, HasSubstr("\"elected\":true,\"caught_up\":true,\"serving\":true"));
  EXPECT_THAT(httpGet("/metrics", std::nullopt), HasSubstr("HTTP/1.1 401 "));
  EXPECT_THAT(httpGet("/metrics", Role::WORKER), HasSubstr("HTTP/1.1 403 "));
  EXPECT_THAT(httpGet("/metrics", Role::VIEWER), HasSubstr("muster_coordinator_is_leader 1"));
  auto list = httpGet("/api/v1/deployments", Role::VIEWER);
  EXPECT_THAT(list, HasSubstr("X-Muster-Index: "));
  EXPECT_THAT(list, HasSubstr("X-Request-Id: r-7"));
  EXPECT_THAT(list, HasSubstr("\"items\":[]"));
  EXPECT_THAT(httpGet("/api/v2", Role::VIEWER), HasSubstr("HTTP/1.1 404 "));
}

TEST_F(ApiTest, statusShowsEqualHashesAndStepDownMovesTheLead) {
  auto hashes = [&] {
    std::set<std::string> all;
    json status = ask([&] { return client->status(); });
    std::set<uint64_t> indexes;
    for (auto& one : status["coordinators"]) {
      indexes.insert(one["applied_index"].get<uint64_t>());
      all.insert(one["state_hash"].is_null() ? "" : one["state_hash"].get<std::string>());
    }
    bool equal = status["coordinators"].size() == 3 && indexes.size() == 1;
    return equal && all.size() == 1 && !all.begin()->empty();
  };
  await("all three have one index and one hash", hashes);
  uint64_t epoch = client->status().json["epoch"];
  std::string from = "co" + std::to_string(leader + 1);
  auto viewer = connect(leader, Role::VIEWER);
  EXPECT_ANY_THROW(viewer->stepDown()) << "only an admin may";
  auto down = client->stepDown();
  ASSERT_FALSE(down.refusal) << down.refusal->text;
  EXPECT_EQ(down.json["from"], from);
  EXPECT_NE(down.json["to"], from);
  EXPECT_NE(down.json["to"], "");
  await("another leads", [&] { return findLeader() && "co" + std::to_string(leader + 1) != from; });
  EXPECT_GT(client->status().json["epoch"], epoch);
  EXPECT_EQ(client->status().json["leader"]["id"], "co" + std::to_string(leader + 1));

  coordinators.kill((leader + 1) % 3);
  await("the dead one is shown", [&] {
    size_t away = 0;
    json status = ask([&] { return client->status(); });
    for (auto& one : status["coordinators"]) away += one["reachable"] == false ? 1 : 0;
    return away == 1;
  });
}

}  // namespace
}  // namespace muster::api_test
