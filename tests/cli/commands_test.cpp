// Whole commands against a fake coordinator in a thread of its own: words in; output and exit code
// out.
#include "cli/commands/run.h"
#include "cli/context.h"
#include "tests/cli/fake_coordinators.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <future>
#include <thread>

namespace muster::cli::commands_test {
namespace {

using Json = nlohmann::ordered_json;
using Kind = FakeAnswer::Kind;
using Answer = std::function<FakeAnswer(const SeenCall&)>;

// One coordinator that serves, or stands by, until this goes.
class FakeCluster {
 public:
  FakeCluster(const std::string& folder, Stage stage, Answer answer) {
    std::promise<std::string> ready;
    auto address = ready.get_future();
    thread_ =
        std::thread([this, folder, stage, answer, &ready] { serve(folder, stage, answer, ready); });
    address_ = address.get();
  }
  ~FakeCluster() {
    stop_->fulfill();
    thread_.join();
  }
  const std::string& address() const { return address_; }

 private:
  void serve(const std::string& folder, Stage stage, Answer answer,
             std::promise<std::string>& ready) {
    sigset_t interrupts;  // are the command's
    sigemptyset(&interrupts);
    sigaddset(&interrupts, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupts, nullptr);
    EventLoop loop;
    FakeCoordinator coordinator(loop, folder, "co1");
    coordinator.facts.stage = stage;
    coordinator.answer = std::move(answer);
    auto paf = kj::newPromiseAndCrossThreadFulfiller<void>();
    stop_ = kj::mv(paf.fulfiller);
    ready.set_value(coordinator.address());
    paf.promise.wait(loop.waitScope());
  }

  std::string address_;
  kj::Own<kj::CrossThreadPromiseFulfiller<void>> stop_;
  std::thread thread_;
};

struct FixedClock final : Clock {
  SteadyTime steadyNow() const override { return {}; }
  WallTime wallNow() const override { return {1'900'000'000'000}; }
};

struct Finished {
  int exitCode = 0;
  std::string out;
  std::string err;
};

class CommandsTest : public testing::Test {
 public:
  CommandsTest() {
    createCa(folder.path(), FAKE_CLUSTER);
    files = issueCertificate(
        folder.path(), {.identity = {Role::ADMIN, "anna"}, .cluster = FAKE_CLUSTER}, folder.path());
    write("a.yaml", "version: 1\nname: a\nmodel: file:/models/a\n");
  }

 protected:
  std::string write(const std::string& name, const std::string& content) {
    std::ofstream(folder / name) << content;
    return folder / name;
  }
  Finished run(const std::vector<std::string>& words,
               const std::optional<std::string>& typed = {}) {
    Finished result;
    bool asks = typed.has_value();
    TerminalStreams streams{.out = [&](std::string_view text) { result.out += text; },
                            .err = [&](std::string_view text) { result.err += text; },
                            .readLine = [&] { return typed; },
                            .inIsTerminal = asks,
                            .errIsTerminal = asks};
    Environment environment{{"XDG_STATE_HOME", folder.path() + "/state"},
                            {"XDG_CONFIG_HOME", folder.path() + "/config"},
                            {"MUSTER_CONTEXT", folder.path() + "/context.toml"},
                            {"TERM", "dumb"}};
    result.exitCode = runMuster(words, streams, environment, FixedClock());
    return result;
  }
  Finished against(Answer answer, const std::vector<std::string>& words,
                   const std::optional<std::string>& typed = {}, Stage stage = Stage::SERVING) {
    auto record = [this, answer](const SeenCall& call) {
      calls.push_back(call);
      return answer(call);
    };
    FakeCluster cluster(folder.path(), stage, record);
    EXPECT_TRUE(writeContextFile(
                    folder / "context.toml",
                    {.cluster = FAKE_CLUSTER, .coordinators = {cluster.address()}, .tls = files})
                    .ok());
    return run(words, typed);
  }
  static Answer always(FakeAnswer answer) {
    return [answer](const SeenCall&) { return answer; };
  }

  TemporaryFolder folder;
  TlsFiles files;
  std::vector<SeenCall> calls;  // read once the cluster's thread has ended
};

std::string deployment(const std::string& phase, int revision, int desired) {
  return R"({"version":1,"items":[{"kind":"deployment","tenant":"default","name":"a","revision":)" +
         std::to_string(revision) + R"(,"status":{"phase":")" + phase +
         R"(","reason":"","message":"","observed_revision":)" + std::to_string(revision) +
         R"(,"replicas":{"desired":)" + std::to_string(desired) + R"(,"ready":1}}}]})";
}

const char* const APPLIED =
    R"({"version":1,"kind":"applied","deployments":[{"tenant":"default","name":"a","revision":2,"action":"change"}]})";
const char* const REPLICAS =
    R"({"version":1,"items":[{"kind":"replica","tenant":"default","deployment":"a","replica":0,"phase":"Loading","progress":0.5}]})";

// An apply whose deployment then is in this phase.
Answer applyThen(std::string phase, int revision) {
  return [=](const SeenCall& call) {
    if (call.method == "apply") return FakeAnswer::of(APPLIED);
    if (call.text.starts_with("replicas")) return FakeAnswer::of(REPLICAS);
    return FakeAnswer::of(deployment(phase, revision, 1));
  };
}

TEST_F(CommandsTest, exitCodesSayWhatHappened) {
  std::string file = folder / "a.yaml";
  std::string plan = R"({"kind":"plan","id":"p-1","summary":{"add":1,"change":0,"remove":0}})";
  std::string noPlan = R"({"kind":"plan","id":"p-1","summary":{"add":0,"change":0,"remove":0}})";
  struct Case {
    const char* name;
    FakeAnswer answer;
    std::vector<std::string> words;
    int exitCode;
  };
  const Case CASES[] = {
      {"done", FakeAnswer::of(R"({"version":1,"items":[]})"), {"ps"}, 0},
      {"conflict", FakeAnswer::of(RefusalCode::REVISION_CONFLICT), {"apply", file}, 5},
      {"unknown plan", FakeAnswer::of(RefusalCode::PLAN_UNKNOWN), {"apply", "p-0"}, 5},
      {"not found", FakeAnswer::of(RefusalCode::NOT_FOUND), {"why", "a"}, 4},
      {"no place", FakeAnswer::of(RefusalCode::NO_WORKER), {"apply", file}, 8},
      {"bad model", FakeAnswer::of(RefusalCode::MODEL_NOT_FOUND), {"plan", file}, 3},
      {"denied", FakeAnswer::of(Kind::DENY), {"admin", "step-down"}, 6},
      {"nonsense", FakeAnswer::of("not json"), {"ps"}, 12},
      {"changes", FakeAnswer::of(plan), {"plan", file, "--exit-code"}, 10},
      {"changes without --exit-code", FakeAnswer::of(plan), {"plan", file}, 0},
      {"no changes", FakeAnswer::of(noPlan), {"plan", file, "--exit-code"}, 0},
      {"nothing there", FakeAnswer::of("{}"), {"get", "nodes", "-o", "value=/items/3"}, 4},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto result = against(always(c.answer), c.words);
    EXPECT_EQ(result.exitCode, c.exitCode) << result.err;
    if (c.exitCode != 0 && c.exitCode != 10) {
      EXPECT_EQ(result.out, "");
      EXPECT_TRUE(result.err.starts_with("error[E0")) << result.err;
    }
  }
}

TEST_F(CommandsTest, withoutALeaderTheExitCodeIsSeven) {
  auto result = against(always({}), {"ps", "--timeout", "100ms"}, {}, Stage::STANDBY);
  EXPECT_EQ(result.exitCode, 7);
  EXPECT_TRUE(result.err.starts_with("error[E0701]: cluster test: no leader answered within 100ms"))
      << result.err;
}

TEST_F(CommandsTest, wrongInputNeedsNoCluster) {
  struct Case {
    const char* name;
    std::vector<std::string> words;
    int exitCode;
    const char* says;
  };
  std::string wrong = write("wrong.yaml", "version: 1\nname: a\nmodel: file:/m\nreplica: 2\n");
  const Case CASES[] = {
      {"unknown command", {"aply"}, 2, "did you mean \"apply\""},
      {"wrong reference", {"why", "No_Name"}, 2, "No_Name"},
      {"wrong number", {"scale", "a", "--replicas", "x"}, 2, "--replicas is \"x\""},
      {"missing number", {"scale", "a"}, 2, "needs --replicas"},
      {"wrong format", {"ps", "-o", "jsn"}, 2, "did you mean \"json\""},
      {"wrong time", {"ps", "--timeout", "3"}, 2, "--timeout is \"3\""},
      {"invalid file", {"apply", wrong}, 3, "wrong.yaml:4:1"},
      {"invalid file to plan", {"plan", wrong}, 3, "did you mean \"replicas\""},
      {"invalid file to validate", {"validate", wrong}, 3, "E0104"},
      {"no file", {"validate", "/none.yaml"}, 4, "/none.yaml"},
      {"no context", {"--context", "prod", "ps"}, 4, "there is no context \"prod\""},
      {"unknown topic", {"explain", "paralell"}, 4, "did you mean \"parallel\""},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto result = run(c.words);
    EXPECT_EQ(result.exitCode, c.exitCode);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(c.says), std::string::npos) << result.err;
  }
}

TEST_F(CommandsTest, whatServesIsNotStoppedWithoutAWord) {
  auto answer = [](const SeenCall& call) {
    return FakeAnswer::of(call.method == "get" ? deployment("Ready", 1, 3)
                                               : R"({"kind":"deleted"})");
  };
  struct Case {
    const char* name;
    std::vector<std::string> words;
    std::optional<std::string> typed;
    int exitCode;
    bool changes;
  };
  const Case CASES[] = {
      {"delete in a script", {"delete", "a"}, {}, 2, false},
      {"delete --yes", {"delete", "a", "--yes"}, {}, 0, true},
      {"delete, agreed", {"delete", "a"}, "y", 0, true},
      {"delete, declined", {"delete", "a"}, "n", 1, false},
      {"delete --no-input", {"delete", "a", "--no-input"}, "y", 2, false},
      {"delete --dry-run", {"delete", "a", "--dry-run"}, {}, 0, true},
      {"scale up", {"scale", "a", "--replicas", "4"}, {}, 0, true},
      {"scale down", {"scale", "a", "--replicas", "2"}, {}, 2, false},
      {"scale to nothing", {"scale", "a", "--replicas", "0"}, {}, 2, false},
      {"scale down --yes", {"scale", "a", "--replicas", "2", "-y"}, {}, 0, true},
      {"drain", {"drain", "w1"}, {}, 2, false},
      {"drain --yes", {"drain", "w1", "--yes"}, {}, 0, true},
      {"cordon stops nothing", {"cordon", "w1"}, {}, 0, true},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    calls.clear();
    auto result = against(answer, c.words, c.typed);
    EXPECT_EQ(result.exitCode, c.exitCode) << result.err;
    bool changed =
        std::ranges::any_of(calls, [](const auto& call) { return call.method != "get"; });
    EXPECT_EQ(changed, c.changes);
  }
}

TEST_F(CommandsTest, applyWaitsUntilTheRevisionServes) {
  std::string file = folder / "a.yaml";
  auto served = against(applyThen("Ready", 2), {"apply", file, "--wait"});
  EXPECT_EQ(served.exitCode, 0) << served.err;
  EXPECT_EQ(served.out, "deployment a changed, revision 2\n");
  EXPECT_NE(served.err.find("a/0  Loading  #########---------  50%\n"), std::string::npos)
      << served.err;

  auto failed = against(applyThen("Failed", 2), {"apply", file, "--wait"});
  EXPECT_EQ(failed.exitCode, 1);
  EXPECT_NE(failed.err.find("muster logs a --first-error"), std::string::npos);

  auto late = against(applyThen("Starting", 2), {"apply", file, "--wait", "--timeout", "50ms"});
  EXPECT_EQ(late.exitCode, 9);
  EXPECT_NE(late.err.find("muster why a"), std::string::npos);

  auto replaced = against(applyThen("Ready", 3), {"apply", file, "--wait"});
  EXPECT_EQ(replaced.exitCode, 5);
}

TEST_F(CommandsTest, interruptingAWaitDetaches) {
  auto answer = applyThen("Starting", 2);
  auto interrupting = [=](const SeenCall& call) {
    if (call.afterIndex != 0) {
      kill(getpid(), SIGINT);
      return FakeAnswer::of(Kind::HANG);
    }
    return answer(call);
  };
  auto result = against(interrupting, {"apply", folder / "a.yaml", "--wait"});
  EXPECT_EQ(result.exitCode, 130);
  EXPECT_NE(result.err.find("detached; the rollout goes on: muster get replicas a -w"),
            std::string::npos)
      << result.err;
}

TEST_F(CommandsTest, aTenantIsGivenToWhatNamesNone) {
  against(always(FakeAnswer::of("{}")), {"why", "a", "--tenant", "lab"});
  against(always(FakeAnswer::of("{}")), {"why", "prod/a", "--tenant", "lab"});
  against(always(FakeAnswer::of(APPLIED)), {"apply", folder / "a.yaml", "-t", "lab"});
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(calls[0].text, "lab/a");
  EXPECT_EQ(calls[1].text, "prod/a");
  EXPECT_NE(calls[2].text.find("tenant: lab"), std::string::npos) << calls[2].text;
}

TEST_F(CommandsTest, theIndexSeenIsKeptBetweenCommands) {
  against(always(FakeAnswer::of(R"({"items":[]})", 42)), {"ps"});
  against(always(FakeAnswer::of(R"({"items":[]})", 42)), {"ps"});
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].lastIndex, LogIndex{0});
  EXPECT_EQ(calls[1].lastIndex, LogIndex{42});
}

TEST_F(CommandsTest, aWatchedListPrintsWhatChanges) {
  // Each read of the list is one step; then the user leaves.
  size_t step = 0;
  auto item = [](const char* name, const char* phase) {
    return Json{{"kind", "node"}, {"name", name}, {"status", {{"phase", phase}}}};
  };
  const std::vector<Json> STEPS{
      {{"version", 1}, {"items", {item("w1", "Ready"), item("w2", "Ready")}}},
      {{"version", 1}, {"items", {item("w1", "Ready"), item("w2", "Lost")}}},
      {{"version", 1}, {"items", {item("w2", "Lost")}}}};
  auto answer = [&](const SeenCall&) {
    if (step == STEPS.size()) {
      kill(getpid(), SIGINT);
      return FakeAnswer::of(Kind::HANG);
    }
    const Json& list = STEPS[step++];
    return FakeAnswer::of(list.dump(), 10 + step);
  };
  auto lines = against(answer, {"get", "nodes", "-w", "--json-lines"});
  EXPECT_EQ(lines.exitCode, 130);
  EXPECT_EQ(
      lines.out,
      "{\"kind\":\"node\",\"name\":\"w1\",\"status\":{\"phase\":\"Ready\"}}\n"
      "{\"kind\":\"node\",\"name\":\"w2\",\"status\":{\"phase\":\"Ready\"}}\n"
      "{\"kind\":\"node\",\"name\":\"w2\",\"status\":{\"phase\":\"Lost\"}}\n"
      "{\"kind\":\"node\",\"name\":\"w1\",\"status\":{\"phase\":\"Ready\"},\"deleted\":true}\n");
  ASSERT_EQ(calls.size(), 4u);
  EXPECT_EQ(calls[0].afterIndex, 0u);
  EXPECT_EQ(calls[1].afterIndex, 11u);
  EXPECT_EQ(calls[3].afterIndex, 13u);
}

TEST_F(CommandsTest, describeFindsNodesAsWell) {
  auto answer = [](const SeenCall& call) {
    if (call.text == "deployments w1") return FakeAnswer::of(RefusalCode::NOT_FOUND);
    if (call.text == "nodes w1") {
      return FakeAnswer::of(R"({"items":[{"kind":"node","name":"w1","address":"10.0.0.1"}]})");
    }
    return FakeAnswer::of(R"({"items":[]})");
  };
  auto result = against(answer, {"describe", "w1"});
  EXPECT_EQ(result.exitCode, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("node        w1\n")) << result.out;
}

TEST_F(CommandsTest, contextsAreAddedAndUsed) {
  against(always(FakeAnswer::of(R"({"items":[]})")), {"ps"});  // writes the context file
  EXPECT_EQ(run({"context", "add", "prod", folder / "context.toml"}).exitCode, 0);
  EXPECT_EQ(run({"context", "use", "prd"}).exitCode, 4);
  EXPECT_EQ(run({"context", "use", "prod"}).exitCode, 0);
  auto list = run({"context", "ls", "-o", "json"});
  EXPECT_EQ(Json::parse(list.out).at("items").at(0).at("current"), true);
  EXPECT_EQ(Json::parse(list.out).at("items").at(0).at("cluster"), "test");
}

TEST_F(CommandsTest, completionKnowsEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    SCOPED_TRACE(shell);
    auto result = run({"completion", shell});
    EXPECT_EQ(result.exitCode, 0);
    for (const char* word : {"apply", "step-down", "cordon", "exit-code"}) {
      EXPECT_NE(result.out.find(word), std::string::npos) << word;
    }
    EXPECT_EQ(result.out.find("supervise"), std::string::npos);
  }
}

}  // namespace
}  // namespace muster::cli::commands_test
