#include "worker/engine/native/serving/endpoint.h"

#include "base/version.h"
#include "tests/worker/serving/scripted_executor.h"
#include "worker/collective/collective.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <nlohmann/json.hpp>

namespace muster::worker::endpoint_test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr auto GUARD = 20 * kj::SECONDS;  // only ends a test that would hang
constexpr const char* CHATML = "{% for m in messages %}{{ '<|im_start|>' }}{% endfor %}";

class EndpointTest : public testing::Test {
 public:
  ~EndpointTest() noexcept override {}

 protected:
  void SetUp() override {
    text_->tokenizer = std::make_shared<ByteTokenizer>();
    text_->chatTemplate = CHATML;
    text_->endTokens = {ByteTokenizer::END};
    text_->sampling.temperature = 0;
  }
  void start(SchedulerLimits limits = {}) {
    engine_ = std::make_unique<EngineLoop>(executor_, text_->tokenizer, limits, clock_);
    endpoint_ = std::make_unique<Endpoint>(EndpointModel{"letters", {"abc"}, text_}, *engine_,
                                           *metrics_, clock_, random_);
  }
  HttpRequest request(const std::string& method, const std::string& path, std::string body = "") {
    return {.method = method,
            .path = path,
            .body = std::move(body),
            .peerIdentity = PeerIdentity{Role::GATEWAY, "gw1"},
            .requestId = "r1"};
  }
  HttpResponse ask(HttpRequest request) { return await(endpoint_->handle(std::move(request))); }
  HttpResponse post(const std::string& path, const json& body) {
    return ask(request("POST", path, body.dump()));
  }
  json answer(const std::string& path, const json& body) {
    auto response = post(path, body);
    EXPECT_EQ(response.status, 200) << response.body;
    return json::parse(response.body);
  }
  // The `data` of each event of a stream; those that are JSON are parsed.
  std::vector<json> events(const std::string& path, json body) {
    body["stream"] = true;
    auto response = post(path, body);
    EXPECT_EQ(response.contentType, "text/event-stream") << response.body;
    std::string all;
    while (auto piece = await(response.stream->next())) {
      EXPECT_FALSE(piece->empty());
      all += *piece;
    }
    std::vector<json> events;
    for (size_t at = 0, end; (end = all.find("\n\n", at)) != std::string::npos; at = end + 2) {
      std::string line = all.substr(at, end - at);
      EXPECT_TRUE(line.starts_with("data: ")) << line;
      line.erase(0, 6);
      events.push_back(line == "[DONE]" ? json(line) : json::parse(line));
    }
    return events;
  }
  template <class T>
  T await(kj::Promise<T> promise) {
    return io_.provider->getTimer().timeoutAfter(GUARD, kj::mv(promise)).wait(io_.waitScope);
  }

  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  SystemClock clock_;
  SeededRandom random_{1};
  std::shared_ptr<ModelText> text_ = std::make_shared<ModelText>();
  ScriptedExecutor executor_;
  kj::Own<ServingMetrics> metrics_ = ServingMetrics::make({"lab", "letters", 2});
  std::unique_ptr<EngineLoop> engine_;
  std::unique_ptr<Endpoint> endpoint_;
};

TEST_F(EndpointTest, completesAPrompt) {
  start();
  auto got = answer("/v1/completions", {{"model", "letters"}, {"prompt", "uv"}, {"max_tokens", 9}});
  EXPECT_EQ(got["object"], "text_completion");
  EXPECT_EQ(got["id"], "cmpl-r1");
  EXPECT_EQ(got["model"], "letters");
  EXPECT_EQ(got["choices"][0]["text"], "wxyz");
  EXPECT_EQ(got["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(got["usage"]["prompt_tokens"], 2);
  EXPECT_EQ(got["usage"]["completion_tokens"], 5);
  EXPECT_EQ(got["usage"]["total_tokens"], 7);
}

TEST_F(EndpointTest, stopsAfter16TokensUnlessToldOtherwise) {
  start();
  auto got = answer("/v1/completions", {{"model", "abc"}, {"prompt", "a"}});
  EXPECT_EQ(got["choices"][0]["text"], "bcdefghijklmnopq");
  EXPECT_EQ(got["choices"][0]["finish_reason"], "length");
}

TEST_F(EndpointTest, takesTokenIdsAndReturnsThem) {
  start();
  auto got = answer("/v1/completions", {{"model", "letters"},
                                        {"prompt", {120, 121}},
                                        {"return_token_ids", true},
                                        {"ignore_eos", true},
                                        {"max_tokens", 2}});
  EXPECT_EQ(got["choices"][0]["token_ids"], json({122, 256}));
  EXPECT_EQ(got["choices"][0]["prompt_token_ids"], json({120, 121}));
  EXPECT_EQ(got["choices"][0]["text"], "z") << "special tokens show nothing";
  EXPECT_EQ(got["choices"][0]["finish_reason"], "length") << "ignore_eos";
}

TEST_F(EndpointTest, answersSeveralPromptsAndChoicesInTheirOrder) {
  start();
  auto got = answer("/v1/completions",
                    {{"model", "letters"}, {"prompt", {"w", "x"}}, {"n", 2}, {"max_tokens", 5}});
  ASSERT_EQ(got["choices"].size(), 4u);
  EXPECT_EQ(got["choices"][1]["text"], "xyz");
  EXPECT_EQ(got["choices"][2]["text"], "yz");
  EXPECT_EQ(got["choices"][3]["index"], 3);
  EXPECT_EQ(got["usage"]["prompt_tokens"], 2) << "each prompt counts once";
}

TEST_F(EndpointTest, answersAChat) {
  start();
  // The template ends with "assistant\n", and after a line's end the model says its end.
  auto got = answer("/v1/chat/completions",
                    {{"model", "letters"}, {"messages", {{{"role", "user"}, {"content", "hi"}}}}});
  EXPECT_EQ(got["object"], "chat.completion");
  EXPECT_EQ(got["choices"][0]["message"], json({{"role", "assistant"}, {"content", ""}}));
  EXPECT_EQ(got["choices"][0]["finish_reason"], "stop");
  EXPECT_GT(got["usage"]["prompt_tokens"], 20);
}

TEST_F(EndpointTest, streamsACompletionAndEndsWithDone) {
  start();
  auto got = events(
      "/v1/completions",
      {{"model", "letters"}, {"prompt", "v"}, {"stream_options", {{"include_usage", true}}}});
  ASSERT_GE(got.size(), 3u);
  EXPECT_EQ(got.back(), "[DONE]");
  auto usage = got[got.size() - 2];
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_EQ(usage["usage"]["completion_tokens"], 5);
  std::string text;
  for (size_t i = 0; i + 2 < got.size(); ++i) {
    EXPECT_TRUE(got[i]["usage"].is_null());
    text += got[i]["choices"][0]["text"].get<std::string>();
  }
  EXPECT_EQ(text, "wxyz");
  EXPECT_EQ(got[got.size() - 3]["choices"][0]["finish_reason"], "stop");
}

TEST_F(EndpointTest, aStreamedChatBeginsWithItsRole) {
  start();
  text_->chatTemplate = CHATML;
  auto got = events("/v1/chat/completions",
                    {{"model", "letters"}, {"messages", {{{"role", "user"}, {"content", "hi"}}}}});
  EXPECT_EQ(got[0]["object"], "chat.completion.chunk");
  EXPECT_EQ(got[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(got.back(), "[DONE]");
}

TEST_F(EndpointTest, listsLogprobs) {
  start();
  auto got = answer("/v1/completions",
                    {{"model", "letters"}, {"prompt", "a"}, {"max_tokens", 2}, {"logprobs", 2}});
  auto logprobs = got["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], json({"b", "c"}));
  EXPECT_EQ(logprobs["text_offset"], json({0, 1}));
  EXPECT_NEAR(logprobs["token_logprobs"][0].get<double>(), 0, 1e-3);
  EXPECT_EQ(logprobs["top_logprobs"][0].size(), 2u);

  auto chat = answer("/v1/chat/completions", {{"model", "letters"},
                                              {"messages", {{{"role", "user"}, {"content", "a"}}}},
                                              {"logprobs", true},
                                              {"top_logprobs", 1}});
  auto content = chat["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 1u);
  EXPECT_EQ(content[0]["token"], "<|im_end|>");
  EXPECT_EQ(content[0]["top_logprobs"].size(), 1u);
  EXPECT_EQ(content[0]["bytes"].size(), 10u);
}

TEST_F(EndpointTest, refusesWithTheNameOfTheField) {
  start();
  struct Case {
    const char* path;
    json body;
    int status;
    const char* param;
    const char* says;
  };
  const json chat = {{{"role", "user"}, {"content", "hi"}}};
  const Case cases[] = {
      {"/v1/completions", {{"prompt", "a"}}, 400, "model", "missing"},
      {"/v1/completions", {{"model", "other"}, {"prompt", "a"}}, 404, "model", "letters"},
      {"/v1/completions", {{"model", "letters"}}, 400, "prompt", "missing"},
      {"/v1/completions", {{"model", "letters"}, {"prompt", 3}}, 400, "prompt", "list"},
      {"/v1/completions", {{"model", "letters"}, {"prompt", json::array()}}, 400, "prompt", "list"},
      {"/v1/completions", {{"model", "letters"}, {"prompt", ""}}, 400, "prompt", "empty"},
      {"/v1/completions", {{"model", "letters"}, {"prompt", {1, 258}}}, 400, "prompt", "258"},
      {"/v1/completions",
       {{"model", "letters"}, {"prompt", std::string(300, 'a')}},
       400,
       "prompt",
       "at most 256"},
      {"/v1/completions",
       {{"model", "letters"}, {"prompt", "a"}, {"max_tokens", 0}},
       400,
       "max_tokens",
       "1 to"},
      {"/v1/completions",
       {{"model", "letters"}, {"prompt", "a"}, {"temperature", -1}},
       400,
       "temperature",
       "number"},
      {"/v1/completions",
       {{"model", "letters"}, {"prompt", "a"}, {"top_p", 0}},
       400,
       "top_p",
       "above 0"},
      {"/v1/completions", {{"model", "letters"}, {"prompt", "a"}, {"n", 17}}, 400, "n", "1 to 16"},
      {"/v1/completions",
       {{"model", "letters"}, {"prompt", "a"}, {"stop", {"", "b"}}},
       400,
       "stop",
       "1 to 256 bytes"},
      {"/v1/completions",
       {{"model", "letters"}, {"prompt", "a"}, {"stream", 1}},
       400,
       "stream",
       "true or false"},
      {"/v1/completions",
       {{"model", "letters"}, {"prompt", "a"}, {"echo", true}},
       400,
       "echo",
       "not supported"},
      {"/v1/completions",
       {{"model", "letters"}, {"prompt", "a"}, {"presence_penalty", 0.5}},
       400,
       "presence_penalty",
       "not supported"},
      {"/v1/completions",
       {{"model", "letters"}, {"prompt", "a"}, {"seed", "x"}},
       400,
       "seed",
       "whole number"},
      {"/v1/chat/completions", {{"model", "letters"}}, 400, "messages", "at least one"},
      {"/v1/chat/completions",
       {{"model", "letters"}, {"messages", {{{"role", "robot"}, {"content", "x"}}}}},
       400,
       "messages[0].role",
       "robot"},
      {"/v1/chat/completions",
       {{"model", "letters"}, {"messages", {{{"role", "user"}, {"content", 7}}}}},
       400,
       "messages[0].content",
       "text"},
      {"/v1/chat/completions",
       {{"model", "letters"}, {"messages", chat}, {"response_format", {{"type", "json_object"}}}},
       400,
       "response_format",
       "not supported"},
      {"/v1/chat/completions",
       {{"model", "letters"}, {"messages", chat}, {"top_logprobs", 2}},
       400,
       "top_logprobs",
       "needs logprobs"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.body.dump());
    auto response = post(c.path, c.body);
    EXPECT_EQ(response.status, c.status);
    auto error = json::parse(response.body)["error"];
    EXPECT_EQ(error["param"], c.param);
    EXPECT_THAT(error["message"].get<std::string>(), HasSubstr(c.says));
    EXPECT_EQ(error["type"], "invalid_request_error");
  }
}

TEST_F(EndpointTest, refusesWhatIsNoJson) {
  start();
  for (const char* body :
       {"", "[]", "{\"model\":\"a\",\"model\":\"b\"}", "{\"model\": \"\xFF\"}"}) {
    auto response = ask(request("POST", "/v1/completions", body));
    EXPECT_EQ(response.status, 400) << body;
  }
}

TEST_F(EndpointTest, aPromptThatIsTooLongSaysSoByItsCode) {
  start();
  auto response =
      post("/v1/completions", {{"model", "letters"}, {"prompt", "a"}, {"max_tokens", 1000}});
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(json::parse(response.body)["error"]["code"], "context_length_exceeded");
}

TEST_F(EndpointTest, onlyGatewaysMayAskAModel) {
  start();
  struct Case {
    std::optional<Role> role;
    const char* path;
    int status;
  };
  const Case cases[] = {
      {std::nullopt, "/health", 200},       {std::nullopt, "/metrics", 401},
      {std::nullopt, "/v1/models", 401},    {std::nullopt, "/anything", 401},
      {Role::GATEWAY, "/health", 200},      {Role::GATEWAY, "/metrics", 200},
      {Role::GATEWAY, "/v1/models", 200},   {Role::GATEWAY, "/anything", 404},
      {Role::VIEWER, "/metrics", 200},      {Role::VIEWER, "/v1/models", 403},
      {Role::ADMIN, "/metrics", 200},       {Role::ADMIN, "/v1/models", 403},
      {Role::OPERATOR, "/v1/models", 403},  {Role::WORKER, "/metrics", 403},
      {Role::WORKER, "/v1/models", 403},    {Role::COORDINATOR, "/v1/models", 403},
      {Role::COORDINATOR, "/metrics", 403},
  };
  for (const auto& c : cases) {
    auto asked = request("GET", c.path);
    asked.peerIdentity.reset();
    if (c.role) asked.peerIdentity = PeerIdentity{*c.role, "x"};
    EXPECT_EQ(ask(std::move(asked)).status, c.status)
        << c.path << " " << (c.role ? toText(*c.role) : "nobody");
  }
}

TEST_F(EndpointTest, listsTheModelAndItsAliases) {
  start();
  auto list = json::parse(ask(request("GET", "/v1/models")).body);
  ASSERT_EQ(list["data"].size(), 2u);
  EXPECT_EQ(list["data"][0]["id"], "letters");
  EXPECT_EQ(list["data"][0]["max_model_len"], 256);
  EXPECT_EQ(list["data"][1]["id"], "abc");
  EXPECT_EQ(json::parse(ask(request("GET", "/v1/models/abc")).body)["id"], "abc");
  EXPECT_EQ(ask(request("GET", "/v1/models/x")).status, 404);
  EXPECT_EQ(ask(request("DELETE", "/v1/models/abc")).status, 404);
}

TEST_F(EndpointTest, aModelWithoutTokenizerTakesTokenIdsAlone) {
  text_->tokenizer = nullptr;
  start();
  auto got = answer(
      "/v1/completions",
      {{"model", "letters"}, {"prompt", {119}}, {"return_token_ids", true}, {"max_tokens", 2}});
  EXPECT_EQ(got["choices"][0]["token_ids"], json({120, 121}));
  EXPECT_EQ(got["choices"][0]["text"], "");
  EXPECT_EQ(post("/v1/completions", {{"model", "letters"}, {"prompt", "a"}}).status, 400);
  EXPECT_EQ(post("/v1/chat/completions",
                 {{"model", "letters"}, {"messages", {{{"role", "user"}, {"content", "x"}}}}})
                .status,
            400);
}

TEST_F(EndpointTest, aDroppedStreamFreesItsBlocks) {
  start();
  auto response = post("/v1/completions", {{"model", "letters"},
                                           {"prompt", std::string(90, 'b')},
                                           {"max_tokens", 100},
                                           {"stream", true}});
  await(response.stream->next());
  response.stream = nullptr;
  for (;;) {  // whatever is asked next comes after the cancellation
    answer("/v1/completions", {{"model", "letters"}, {"prompt", "z"}});
    if (engine_->status().running == 0) break;
  }
  EXPECT_EQ(engine_->status().blocksUsed, 0u);
}

TEST_F(EndpointTest, aBrokenGroupIsARetryableErrorAlsoInsideAStream) {
  executor_.beforeStep = [](const Step& step) {
    if (step.number == 3) throw CollectiveBroken("rank 1 left during an all-reduce");
  };
  start();
  auto got = events("/v1/completions", {{"model", "letters"}, {"prompt", "a"}});
  EXPECT_THAT(got.back()["error"]["message"].get<std::string>(), HasSubstr("rank 1 left"));
  EXPECT_EQ(got.back()["error"]["code"], "replica_unavailable");
  auto refused = post("/v1/completions", {{"model", "letters"}, {"prompt", "a"}});
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers["Retry-After"], "1");
  EXPECT_EQ(ask(request("GET", "/health")).status, 503);
}

TEST_F(EndpointTest, aDrainingReplicaSendsNewRequestsElsewhere) {
  start();
  endpoint_->close();
  auto refused = post("/v1/completions", {{"model", "letters"}, {"prompt", "a"}});
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(json::parse(refused.body)["error"]["code"], "overloaded");
}

TEST_F(EndpointTest, countsWhatItServes) {
  start();
  answer("/v1/completions", {{"model", "letters"}, {"prompt", "uv"}});
  post("/v1/completions", {{"model", "other"}, {"prompt", "uv"}});
  std::string text = ask(request("GET", "/metrics")).body;
  std::string labels = R"({deployment="letters",replica="2",tenant="lab")";
  EXPECT_THAT(text, HasSubstr("muster_requests_total" + labels + R"(,code="200"} 1)"));
  EXPECT_THAT(text, HasSubstr("muster_requests_total" + labels + R"(,code="404"} 1)"));
  EXPECT_THAT(text, HasSubstr("muster_tokens_total" + labels + R"(,kind="input"} 2)"));
  EXPECT_THAT(text, HasSubstr("muster_tokens_total" + labels + R"(,kind="output"} 5)"));
  EXPECT_THAT(text, HasSubstr("muster_time_to_first_token_seconds_count" + labels + "} 1"));
  EXPECT_THAT(text, HasSubstr("muster_inter_token_latency_seconds_count" + labels + "} 4"));
  EXPECT_THAT(text, HasSubstr("muster_request_duration_seconds_count" + labels + "} 1"));
  EXPECT_THAT(text, HasSubstr("muster_kv_cache_used_ratio" + labels));
  EXPECT_THAT(text, HasSubstr(std::string("muster_build_info{version=\"") + VERSION +
                              "\",commit=\"" + COMMIT + "\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("r1"))) << "no request is named";
}

}  // namespace
}  // namespace muster::worker::endpoint_test
