// The gateway's view: what it takes, what it never takes, and how it outlives the process.
#include "gateway/route_table.h"

#include "gateway/route_events.h"
#include "tests/gateway/route_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::gateway::route_table_test {
namespace {

using ::testing::ElementsAre;
using Taken = RouteTable::Taken;

TEST(RouteTable, findsModelsByNameAndAlias) {
  Route aliased = route("chat", 1);
  aliased.aliases = {"gpt", "search"};
  RouteTable table;
  EXPECT_EQ(table.take(snapshot(5, {route("chat", 0), aliased, route("search", 0)})), Taken::YES);
  EXPECT_THAT(table.names(), ElementsAre("chat", "gpt", "search"));
  EXPECT_EQ(table.find("chat")->routes.size(), 2u);
  ASSERT_EQ(table.find("gpt")->routes.size(), 1u);
  EXPECT_EQ(table.find("gpt")->routes[0]->id, "default/chat/1");
  // A name wins over an alias.
  ASSERT_EQ(table.find("search")->routes.size(), 1u);
  EXPECT_EQ(table.find("search")->routes[0]->deployment, "search");
  EXPECT_EQ(table.find("other"), nullptr);
}

TEST(RouteTable, deploymentsThatShareAnAliasShareItsRequests) {
  Route old = route("chat-1", 0);
  Route next = route("chat-2", 0);
  old.aliases = next.aliases = {"chat"};
  RouteTable table;
  table.take(snapshot(1, {old, next}));
  EXPECT_EQ(table.find("chat")->routes.size(), 2u);
}

TEST(RouteTable, balancesAsTheDeploymentsOfANameAgree) {
  Route old = route("chat-1", 0);
  Route next = route("chat-2", 0);
  Route silent = route("chat-3", 0);
  old.aliases = {"same", "torn", "half"};
  next.aliases = {"same"};
  silent.aliases = {"half"};
  old.balance = next.balance = Balance::PREFIX;
  Route third = route("chat-4", 0);
  third.aliases = {"torn"};
  third.balance = Balance::RANDOM;
  RouteTable table;
  table.take(snapshot(1, {old, next, silent, third}));
  EXPECT_EQ(table.find("chat-1")->balance, Balance::PREFIX);
  EXPECT_EQ(table.find("chat-3")->balance, std::nullopt);
  EXPECT_EQ(table.find("same")->balance, Balance::PREFIX);
  EXPECT_EQ(table.find("torn")->balance, std::nullopt);
  EXPECT_EQ(table.find("half")->balance, std::nullopt);
}

TEST(RouteTable, followsChanges) {
  RouteTable table;
  table.take(snapshot(5, {route("chat", 0), route("chat", 1)}));
  Route moved = route("chat", 1);
  moved.generation = 2;
  EXPECT_EQ(table.take(change(7, {moved, route("new", 0)}, {"default/chat/0"})), Taken::YES);
  EXPECT_EQ(table.position(), at(7));
  ASSERT_EQ(table.find("chat")->routes.size(), 1u);
  EXPECT_EQ(table.find("chat")->routes[0]->generation, 2u);
  EXPECT_NE(table.find("new"), nullptr);
  // A snapshot forgets what it does not name.
  EXPECT_EQ(table.take(snapshot(8, {route("new", 0)})), Taken::YES);
  EXPECT_EQ(table.find("chat"), nullptr);
}

TEST(RouteTable, neverTakesALowerIndexOfAHistoryNorALowerHistory) {
  RouteTable table;
  table.take(snapshot(5, {route("chat", 0)}));
  EXPECT_EQ(table.take(snapshot(4, {})), Taken::OLD);
  EXPECT_EQ(table.take(change(4, {}, {"default/chat/0"})), Taken::OLD);
  RouteEvent older = snapshot(900, {});
  older.position.history.number = 2;
  EXPECT_EQ(table.take(older), Taken::OLD);
  RouteEvent foreign = snapshot(900, {});
  foreign.position.history.guid = {7, 7};
  EXPECT_EQ(table.take(foreign), Taken::FOREIGN);
  EXPECT_NE(table.find("chat"), nullptr);
  EXPECT_EQ(table.position(), at(5));
  RouteEvent restored = snapshot(1, {});
  restored.position.history = {4, {7, 7}};
  EXPECT_EQ(table.take(restored), Taken::YES);
  EXPECT_EQ(table.find("chat"), nullptr);
}

TEST(RouteTable, outlivesTheProcess) {
  Route loading = route("chat", 1);
  loading.state = "Loading";
  loading.address = "";
  loading.aliases = {"gpt"};
  loading.balance = Balance::WEIGHTED;
  loading.progress = 0.25;
  loading.weight = 8;
  loading.message = "0 of 2 ranks past Loading";
  RouteTable table;
  table.take(snapshot(5, {route("chat", 0), loading}));
  auto back = parseRouteTable(toJson(table));
  ASSERT_TRUE(back.ok()) << back.refusal().text;
  EXPECT_EQ(back->position(), at(5));
  ASSERT_EQ(back->routes().size(), 2u);
  EXPECT_EQ(*back->routes().at("default/chat/1"), loading);
}

TEST(RouteEvents, areReadAsTheCoordinatorsWriteThem) {
  auto event = parseRouteEvent("change", R"j({"version":1,
    "history":"3-00000000000000110000000000000022","index":9,"epoch":4,
    "changed":[{"kind":"node","id":"w1","object":{}},
      {"kind":"route","id":"search/ranker/2","object":{"kind":"route","tenant":"search",
       "deployment":"ranker","model":"search/ranker","aliases":["r"],
       "replica":2,"generation":7,"node":"w3","address":"https://10.0.0.3:41005","weight":4,
       "state":"Ready","message":"","progress":1.0}}],
    "removed":[{"kind":"route","id":"search/ranker/1"},{"kind":"node","id":"w9"}]})j");
  ASSERT_TRUE(event.ok()) << event.refusal().text;
  EXPECT_EQ(event->kind, RouteEvent::Kind::CHANGE);
  EXPECT_EQ(event->position, at(9));
  EXPECT_THAT(event->removed, ElementsAre("search/ranker/1"));
  ASSERT_EQ(event->changed.size(), 1u);
  const Route& route = event->changed.at("search/ranker/2");
  EXPECT_EQ(route.model, "search/ranker");
  EXPECT_EQ(route.address, "https://10.0.0.3:41005");
  EXPECT_TRUE(route.takesRequests());
  EXPECT_EQ(route.balance, std::nullopt) << "told by a coordinator that knows none";
  EXPECT_EQ(toText(event->position), "3-00000000000000110000000000000022/9");
}

TEST(RouteEvents, aBalanceThatIsNotKnownIsLeftToTheGateway) {
  auto balanceOf = [](const std::string& json) {
    auto event = parseRouteEvent("snapshot",
                                 R"j({"history":"3-00000000000000110000000000000022","index":9,
      "items":[{"kind":"route","id":"default/chat/0","object":{"deployment":"chat","model":"chat",
       "aliases":[],"generation":1,"node":"w1","address":"","weight":1,"state":"Loading",
       "message":"","progress":null,"balance":)j" +
                                     json + "}}]}");
    return event.ok() ? event->changed.at("default/chat/0").balance : Balance::WEIGHTED;
  };
  EXPECT_EQ(balanceOf("\"prefix\""), Balance::PREFIX);
  EXPECT_EQ(balanceOf("\"of tomorrow\""), std::nullopt);
  EXPECT_EQ(balanceOf("null"), std::nullopt);
}

TEST(RouteEvents, whatIsNoneIsRefused) {
  const char* HEAD = R"("history":"3-00000000000000110000000000000022","index":9)";
  for (const std::string& data :
       {std::string(), std::string("[]"), std::string("{}"), std::string("{"),
        std::string(R"({"history":"x","index":9,"items":[]})"),
        std::string(R"({"history":"3-0011","index":9,"items":[]})"), "{" + std::string(HEAD) + "}",
        "{" + std::string(HEAD) + R"(,"items":[{"kind":"route"}]})",
        "{" + std::string(HEAD) + R"(,"items":[{"kind":"route","id":"a","object":{}}]})"}) {
    EXPECT_FALSE(parseRouteEvent("snapshot", data).ok()) << data;
  }
  EXPECT_FALSE(parseRouteEvent("other", "{" + std::string(HEAD) + R"(,"items":[]})").ok());
}

}  // namespace
}  // namespace muster::gateway::route_table_test
