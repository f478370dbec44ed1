// The choice of a replica, outliers, and what follows a failure.
#include "gateway/dispatcher.h"

#include "gateway/openai_error.h"
#include "tests/gateway/route_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace muster::gateway::dispatcher_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr SteadyTime NOW{1'000'000'000'000};

class Dispatching : public ::testing::Test {
 public:
  ~Dispatching() noexcept override {}

 protected:
  Lease take(const std::string& model, const Backend* avoid = nullptr, SteadyTime now = NOW) {
    auto chosen = dispatcher_.choose({model, 0, avoid}, now);
    EXPECT_TRUE(std::holds_alternative<Lease>(chosen));
    return std::move(std::get<Lease>(chosen));
  }
  std::string placeOf(SteadyTime now = NOW) { return take("chat", nullptr, now).route().id; }
  Unavailable refused(const std::string& model) {
    auto chosen = dispatcher_.choose({model}, NOW);
    auto* no = std::get_if<Unavailable>(&chosen);
    EXPECT_NE(no, nullptr);
    return no == nullptr ? Unavailable{} : *no;
  }
  Backend& backend(const std::string& id) {
    for (const auto& one : dispatcher_.backends()) {
      if (one->route->id == id) return *one;
    }
    throw std::out_of_range(id);
  }
  void fail(const std::string& id, int times, SteadyTime now = NOW) {
    for (int i = 0; i < times; ++i) dispatcher_.failed(backend(id), Failure::CONNECT, now);
  }

  SeededRandom random_{1};
  Dispatcher dispatcher_{
      Balance::LEAST_OUTSTANDING, {.failures = 3, .ejection = 1_s, .ejectionMax = 8_s}, random_};
};

TEST_F(Dispatching, countsWhatIsUnderWay) {
  dispatcher_.update(tableOf({route("chat", 0), route("chat", 1)}));
  auto first = take("chat");
  auto second = take("chat");
  EXPECT_NE(first.route().id, second.route().id);
  EXPECT_EQ(backend("default/chat/0").outstanding, 1u);
  { auto third = take("chat"); }
  EXPECT_EQ(backend("default/chat/0").outstanding + backend("default/chat/1").outstanding, 2u);
}

TEST_F(Dispatching, balancesAsTheDeploymentAsks) {
  std::vector<Route> routes{route("chat", 0), route("chat", 1), route("chat", 2)};
  for (Route& one : routes) one.balance = Balance::ROUND_ROBIN;
  dispatcher_.update(tableOf(routes));
  for (uint32_t turn = 0; turn < 9; ++turn) {
    EXPECT_EQ(placeOf(), "default/chat/" + std::to_string(turn % 3));
  }
  for (Route& one : routes) one.balance = Balance::PREFIX;
  dispatcher_.update(tableOf(routes, 2));
  std::string first = placeOf();
  for (int i = 0; i < 9; ++i) EXPECT_EQ(placeOf(), first);
}

TEST_F(Dispatching, sendsNothingToWhatIsNotReady) {
  Route loading = route("chat", 0);
  loading.state = "Loading";
  Route silent = route("chat", 1);
  silent.address = "";
  Route cutOff = route("chat", 2);
  cutOff.state = "Unreachable";
  dispatcher_.update(tableOf({loading, silent, cutOff, route("chat", 3)}));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(placeOf(), "default/chat/3");
}

TEST_F(Dispatching, whatIsUnderWayOutlivesItsRoute) {
  dispatcher_.update(tableOf({route("chat", 0)}));
  auto lease = take("chat");
  Route next = route("chat", 0);
  next.generation = 2;
  dispatcher_.update(tableOf({next}, 2));
  EXPECT_EQ(lease.route().generation, 1u);
  EXPECT_EQ(backend("default/chat/0").outstanding, 0u);  // of the new generation
  EXPECT_EQ(lease.backend().outstanding, 1u);
}

TEST_F(Dispatching, leavesAReplicaOutThatFailsAgainAndAgain) {
  dispatcher_.update(tableOf({route("chat", 0), route("chat", 1)}));
  fail("default/chat/0", 2);
  dispatcher_.succeeded(backend("default/chat/0"));
  fail("default/chat/0", 2);
  EXPECT_FALSE(backend("default/chat/0").outlier.isEjected(NOW));
  fail("default/chat/0", 1);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(placeOf(), "default/chat/1");
}

TEST_F(Dispatching, takesItBackAfterATimeThatDoubles) {
  dispatcher_.update(tableOf({route("chat", 0), route("chat", 1)}));
  Outlier& outlier = backend("default/chat/0").outlier;
  fail("default/chat/0", 3);
  EXPECT_EQ(outlier.ejectedUntil(), NOW + 1_s);
  EXPECT_FALSE(outlier.isEjected(NOW + 1_s));
  SteadyTime now = NOW + 1_s;
  for (Duration time : {2_s, 4_s, 8_s, 8_s}) {
    fail("default/chat/0", 1, now);
    EXPECT_EQ(outlier.ejectedUntil(), now + time);
    now = now + time;
  }
  dispatcher_.succeeded(backend("default/chat/0"));
  fail("default/chat/0", 2, now);
  EXPECT_FALSE(outlier.isEjected(now));
}

TEST_F(Dispatching, anIllReplicaIsBetterThanNone) {
  dispatcher_.update(tableOf({route("chat", 0)}));
  fail("default/chat/0", 3);
  EXPECT_EQ(placeOf(), "default/chat/0");
}

TEST_F(Dispatching, busyAndStaleSpeakAgainstNobody) {
  dispatcher_.update(tableOf({route("chat", 0)}));
  for (int i = 0; i < 10; ++i) {
    dispatcher_.failed(backend("default/chat/0"), Failure::BUSY, NOW);
    dispatcher_.failed(backend("default/chat/0"), Failure::STALE, NOW);
    dispatcher_.failed(backend("default/chat/0"), Failure::OUT_OF_TIME, NOW);
  }
  EXPECT_FALSE(backend("default/chat/0").outlier.isEjected(NOW));
}

TEST_F(Dispatching, aRetryGoesElsewhereWhereThereIsElsewhere) {
  dispatcher_.update(tableOf({route("chat", 0), route("chat", 1)}));
  for (int i = 0; i < 20; ++i) {
    auto first = take("chat");
    auto second = take("chat", &first.backend());
    EXPECT_NE(second.route().id, first.route().id);
  }
  dispatcher_.update(tableOf({route("chat", 0)}, 2));
  auto first = take("chat");
  EXPECT_EQ(take("chat", &first.backend()).route().id, first.route().id);
  EXPECT_FALSE(dispatcher_.hasOther("chat", "default/chat/0"));
}

TEST_F(Dispatching, anUnknownModelIsAnsweredWithNearNames) {
  dispatcher_.update(tableOf({route("chat-7b", 0), route("chat-70b", 0), route("embed", 0)}));
  auto no = refused("chat-7");
  EXPECT_EQ(no.why, Unavailable::Why::NO_MODEL);
  EXPECT_THAT(no.near, ElementsAre("chat-7b", "chat-70b"));
  auto error = errorOf(no, "chat-7");
  EXPECT_EQ(error.status, 404);
  EXPECT_EQ(error.code, "model_not_found");
  EXPECT_EQ(error.message,
            "there is no model \"chat-7\"; did you mean \"chat-7b\" or \"chat-70b\"?");
  // Where nothing is near, a short list says what there is.
  EXPECT_THAT(refused("zzzzzzzz").near, ElementsAre("chat-70b", "chat-7b", "embed"));
  EXPECT_TRUE(refused(std::string(1000, 'x')).near.size() <= 3);
}

TEST_F(Dispatching, aModelThatIsLoadingSaysHowFar) {
  Route slow = route("chat", 0);
  slow.state = "Pending";
  slow.message = "10 of 16 devices are free";
  Route fast = route("chat", 1);
  fast.state = "Loading";
  fast.progress = 0.669;
  dispatcher_.update(tableOf({slow, fast}));
  auto no = refused("chat");
  EXPECT_EQ(no.why, Unavailable::Why::LOADING);
  EXPECT_EQ(no.progress, 0.669);
  auto response = toResponse(errorOf(no, "chat"));
  EXPECT_EQ(response.status, 503);
  EXPECT_FALSE(response.headers["Retry-After"].empty());
  EXPECT_THAT(response.body, HasSubstr("model_loading"));
  EXPECT_THAT(response.body, HasSubstr("66% done"));
  EXPECT_THAT(response.body, HasSubstr("10 of 16 devices are free"));
}

TEST_F(Dispatching, aModelWithoutAnyReadyReplicaSaysWhy) {
  Route failed = route("chat", 0);
  failed.state = "Failed";
  failed.message = "rank 0 (w1:0): it exited";
  dispatcher_.update(tableOf({failed}));
  auto no = refused("chat");
  EXPECT_EQ(no.why, Unavailable::Why::NOWHERE);
  EXPECT_EQ(errorOf(no, "chat").code, "model_unavailable");
  EXPECT_THAT(errorOf(no, "chat").message, HasSubstr("rank 0 (w1:0): it exited"));
}

TEST(RetryRules, table) {
  struct Case {
    Failure failure;
    AttemptView attempt;
    Next next;
  };
  const Case cases[] = {
      {Failure::CONNECT, {0, false}, Next::ELSEWHERE},
      {Failure::CONNECT, {1, false}, Next::GIVE_UP},
      {Failure::NO_ANSWER, {0, false}, Next::ELSEWHERE},
      {Failure::BUSY, {0, false}, Next::ELSEWHERE},
      {Failure::STALE, {0, false}, Next::SAME_AGAIN},
      {Failure::STALE, {1, false}, Next::SAME_AGAIN},
      {Failure::FIRST_BYTE, {0, false}, Next::GIVE_UP},
      {Failure::BAD_ANSWER, {0, false}, Next::GIVE_UP},
      {Failure::BROKEN, {0, false}, Next::GIVE_UP},
      {Failure::OUT_OF_TIME, {0, false}, Next::GIVE_UP},
      {Failure::CONNECT, {0, true}, Next::GIVE_UP},
      {Failure::NO_ANSWER, {0, true}, Next::GIVE_UP},
      {Failure::STALE, {0, true}, Next::GIVE_UP},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(static_cast<int>(c.failure));
    EXPECT_EQ(afterFailure(c.failure, c.attempt), c.next);
  }
}

TEST(OpenAiError, hasTheFormThatClientsKnow) {
  auto response = toResponse({429, "too \"many\"", "server_error", "busy", "model"});
  EXPECT_EQ(
      response.body,
      "{\"error\":{\"message\":\"too \\\"many\\\"\",\"type\":\"server_error\",\"param\":\"model\","
      "\"code\":\"busy\"}}\n");
  EXPECT_EQ(response.headers["Retry-After"], "1");
  EXPECT_EQ(toEvent({502, "x", "server_error", "y"}),
            "data: "
            "{\"error\":{\"message\":\"x\",\"type\":\"server_error\",\"param\":null,\"code\":\"y\"}"
            "}\n\n");
  auto failure = openAiFailure({RefusalCode::TOO_LARGE, "the body is larger than 1MiB"}, "r1", 413);
  EXPECT_EQ(failure.status, 413);
  EXPECT_THAT(failure.body, HasSubstr("invalid_request_error"));
}

}  // namespace
}  // namespace muster::gateway::dispatcher_test
