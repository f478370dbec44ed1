// What watchers are told, and how they resume.
#include "coordinator/objects/json.h"
#include "coordinator/watch_log.h"
#include "protocol/endpoint_note.h"
#include "tests/coordinator/core/core_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator::watch_test {
namespace {

using ::testing::HasSubstr;
using testing::node;
using testing::spec;
using ::testing::StartsWith;

const HistoryId HISTORY{3, {0x11, 0x22}};

WatchPosition at(uint64_t index) { return {HISTORY, {index}}; }

// The JSON of an event's data line.
Json dataOf(const std::string& event) {
  size_t start = event.find("\ndata: ");
  return Json::parse(event.substr(start + 7, event.size() - start - 9));
}

TEST(WatchPosition, survivesItsText) {
  EXPECT_EQ(toText(at(1234)), "3-00000000000000110000000000000022/1234");
  EXPECT_EQ(parseWatchPosition(toText(at(1234))), at(1234));
  for (const char* text :
       {"", "3", "3-11/4", "3-00000000000000110000000000000022",
        "3-00000000000000110000000000000022/", "x-00000000000000110000000000000022/1",
        "3-0000000000000011000000000000002g/1", "3-00000000000000110000000000000022/1x"}) {
    EXPECT_EQ(parseWatchPosition(text), std::nullopt) << text;
  }
}

TEST(WatchLog, tellsASnapshotAndThenWhatChanged) {
  WatchLog log;
  log.take(at(5), {2},
           {{{"route", "default/chat/0"}, R"({"state":"Loading"})"},
            {{"node", "w1"}, R"({"name":"w1"})"}});
  std::string snapshot = log.snapshot({"route"});
  EXPECT_THAT(snapshot, StartsWith("id: " + toText(at(5)) + "\nevent: snapshot\ndata: {"));
  Json data = dataOf(snapshot);
  EXPECT_EQ(data["index"], 5);
  EXPECT_EQ(data["epoch"], 2);
  ASSERT_EQ(data["items"].size(), 1u);
  EXPECT_EQ(data["items"][0]["id"], "default/chat/0");
  EXPECT_EQ(data["items"][0]["object"]["state"], "Loading");

  const WatchChange* change = log.take(at(7), {2}, {{{"node", "w1"}, R"({"name":"w1"})"}});
  ASSERT_NE(change, nullptr);
  std::string event = eventText(*change, {"route"});
  EXPECT_THAT(event, StartsWith("id: " + toText(at(7)) + "\nevent: change\n"));
  EXPECT_EQ(dataOf(event)["removed"][0]["id"], "default/chat/0");
  EXPECT_TRUE(dataOf(event)["changed"].empty());
  EXPECT_EQ(eventText(*change, {"node"}), "");
}

TEST(WatchLog, takesNoLowerIndexOfAHistory) {
  WatchLog log;
  log.take(at(5), {2}, {{{"node", "w1"}, "1"}});
  EXPECT_EQ(log.take(at(5), {2}, {{{"node", "w1"}, "2"}}), nullptr);
  EXPECT_EQ(log.take(at(4), {3}, {}), nullptr);
  EXPECT_EQ(log.position(), at(5));
  EXPECT_THAT(log.snapshot({"node"}), HasSubstr("\"object\":1"));
}

TEST(WatchLog, resumesFromWhatItStillKnows) {
  WatchLog log;
  for (uint64_t index = 1; index <= 4; ++index) {
    log.take(at(index), {1}, {{{"node", "w1"}, std::to_string(index)}});
  }
  EXPECT_EQ(log.since(at(2), {"node"})->size(), 2u);
  EXPECT_EQ(log.since(at(4), {"node"})->size(), 0u);
  EXPECT_EQ(log.since(at(2), {"route"})->size(), 0u);
  EXPECT_EQ(log.since(at(5), {"node"}), std::nullopt);           // not there yet
  EXPECT_EQ(log.since(at(0), {"node"}), std::nullopt);           // before its first look
  EXPECT_EQ(log.since({{9, {}}, {2}}, {"node"}), std::nullopt);  // another history
}

TEST(WatchLog, forgetsTheOldestWayAndAllOfAnotherHistory) {
  WatchLog log;
  const uint64_t LAST = WatchLog::CHANGES_KEPT + 10;
  for (uint64_t index = 1; index <= LAST; ++index) {
    log.take(at(index), {1}, {{{"node", "w1"}, std::to_string(index)}});
  }
  EXPECT_EQ(log.since(at(9), {"node"}), std::nullopt);
  EXPECT_EQ(log.since(at(10), {"node"})->size(), WatchLog::CHANGES_KEPT);
  log.take({{4, {}}, {2}}, {9}, {{{"node", "w1"}, "new"}});
  EXPECT_EQ(log.since(at(LAST), {"node"}), std::nullopt);
}

// The changes of any run add up to the objects at its end, wherever one begins.
TEST(WatchLog, whoFollowsFromAnywhereKnowsTheSame) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    WatchLog log;
    std::vector<WatchedObjects> history;
    for (uint64_t index = 1; index <= 30; ++index) {
      WatchedObjects objects;
      for (int i = 0; i < 5; ++i) {
        if (random.below(2) == 0) continue;
        objects[{"node", std::to_string(i)}] = std::to_string(random.below(3));
      }
      log.take(at(index), {1}, objects);
      history.push_back(objects);
    }
    uint64_t from = 1 + random.below(30);
    WatchedObjects known = history[from - 1];
    const auto events = log.since(at(from), watchKinds());
    for (const auto& event : *events) {
      Json data = dataOf(event);
      for (const auto& one : data["changed"]) {
        known[{one["kind"].get<std::string>(), one["id"].get<std::string>()}] =
            one["object"].dump();
      }
      for (const auto& one : data["removed"]) {
        known.erase({one["kind"].get<std::string>(), one["id"].get<std::string>()});
      }
    }
    EXPECT_EQ(known, history.back());
  }
}

class Routes : public ::testing::Test {
 protected:
  Routes() {
    cluster.startLeader({1});
    for (const char* name : {"w1", "w2"}) cluster.addNode(node(name).cpus(2, 4_GiB));
  }
  ~Routes() noexcept override {}

  Json route(const std::string& id) {
    auto objects = watchedObjects(cluster.state);
    auto found = objects.find({"route", id});
    return found == objects.end() ? Json() : Json::parse(found->second);
  }
  // Its first rank becomes Ready last, and says where it answers.
  void answerAt(uint32_t replica, const std::string& endpoint) {
    RankRef first = cluster.rankOf("chat", replica, 0);
    for (auto& [name, agent] : cluster.agents) {
      if (!agent.ranks.contains(first)) continue;
      agent.ranks.at(first).phase = ReplicaPhase::READY;
      agent.ranks.at(first).message = endpointNote(endpoint);
    }
    cluster.heartbeat();
    cluster.bringUp();
  }

  CoreCluster cluster;
};

TEST_F(Routes, areThereForEveryReplicaReadyOrNot) {
  auto applied = applyOf(spec("chat").devices(2).replicas(3));
  cluster.applyRaw(SchemaLevelRaised{2, {{"co1"}}});
  applied.spec.model.aliases = {"gpt"};
  applied.spec.balance = Balance::PREFIX;
  ASSERT_TRUE(cluster.request(applied).ok());
  cluster.settle();
  EXPECT_EQ(route("default/chat/0")["address"], "");
  answerAt(0, "http://10.0.0.1:8000");
  Json first = route("default/chat/0");
  EXPECT_EQ(first["model"], "chat");
  EXPECT_EQ(first["aliases"], Json({"gpt"}));
  EXPECT_EQ(first["balance"], "prefix");
  EXPECT_EQ(first["state"], "Ready");
  EXPECT_EQ(first["address"], "http://10.0.0.1:8000");
  EXPECT_EQ(first["weight"], 2);
  EXPECT_EQ(first["generation"], 1);
  Json waiting = route("default/chat/2");
  EXPECT_EQ(waiting["state"], "Pending");
  EXPECT_EQ(waiting["address"], "");
  EXPECT_EQ(waiting["generation"], 0);
  ASSERT_TRUE(cluster.request(deleteOf("chat")).ok());
  cluster.settle();
  EXPECT_EQ(route("default/chat/0"), Json());
}

TEST_F(Routes, leadNowhereWhileANodeIsUnreachable) {
  ASSERT_TRUE(cluster.request(applyOf(spec("chat"))).ok());
  cluster.bringUp();
  NodeName node = cluster.replica("chat", 0).current->placement.ranks[0].node;
  cluster.disconnect(node);
  cluster.step();
  EXPECT_EQ(route("default/chat/0")["state"], "Unreachable");
}

}  // namespace
}  // namespace muster::coordinator::watch_test
