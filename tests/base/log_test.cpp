#include "base/log.h"

#include <gtest/gtest.h>
#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <thread>

namespace muster::log_test {
namespace {

constexpr const char* CANARY = "canary-b1946ac92492d2347c6235b4d2611184";

struct Capture {
  std::vector<std::string> lines;
  Logger logger(LogFormat format, LogLevel level = LogLevel::DEBUG) {
    return Logger({level, format, [this](std::string_view line) { lines.emplace_back(line); }});
  }
};

TEST(Log, jsonLinesParseAndKeepTypes) {
  Capture capture;
  auto logger = capture.logger(LogFormat::JSON).with({{"role", "coordinator"}});
  logger.warn("took over", {{"epoch", Epoch{7}},
                            {"leader", CoordinatorId{"co1"}},
                            {"lag", -3},
                            {"share", 0.25},
                            {"clean", true},
                            {"wait", 250_ms},
                            {"memory", 4_GiB},
                            {"code", RefusalCode::NO_LEADER}});
  ASSERT_EQ(capture.lines.size(), 1u);
  auto line = nlohmann::json::parse(capture.lines[0]);
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["message"], "took over");
  EXPECT_EQ(line["role"], "coordinator");
  EXPECT_EQ(line["epoch"], 7);
  EXPECT_EQ(line["leader"], "co1");
  EXPECT_EQ(line["lag"], -3);
  EXPECT_EQ(line["share"], 0.25);
  EXPECT_EQ(line["clean"], true);
  EXPECT_EQ(line["wait"], "250ms");
  EXPECT_EQ(line["memory"], "4GiB");
  EXPECT_EQ(line["code"], "E0701");
  EXPECT_TRUE(line["time"].get<std::string>().ends_with("Z"));
}

TEST(Log, textIsOneLineWithFieldsToldApart) {
  Capture capture;
  capture.logger(LogFormat::TEXT)
      .info("rank ready", {{"node", "gpu02"}, {"why", "a b=\"c\""}, {"n", 5}});
  ASSERT_EQ(capture.lines.size(), 1u);
  EXPECT_TRUE(capture.lines[0].ends_with(R"(Z info rank ready node=gpu02 why="a b=\"c\"" n=5)"))
      << capture.lines[0];
}

TEST(Log, controlCharactersNeverLeaveAsTheyAre) {
  const std::string WILD = std::string("a\nb\r\t\x1b[31m\x7f\0c \xff\xfe", 16);
  for (auto format : {LogFormat::TEXT, LogFormat::JSON}) {
    Capture capture;
    capture.logger(format).error(WILD, {{"key", WILD}, {WILD, 1}});
    ASSERT_EQ(capture.lines.size(), 1u);
    for (char c : capture.lines[0]) {
      EXPECT_GE(static_cast<unsigned char>(c), 0x20) << capture.lines[0];
      EXPECT_NE(c, '\x7f');
    }
    if (format == LogFormat::JSON) {
      EXPECT_TRUE(nlohmann::json::accept(capture.lines[0])) << capture.lines[0];
    }
  }
}

TEST(Log, aSecretIsNeverShown) {
  for (auto format : {LogFormat::TEXT, LogFormat::JSON}) {
    Capture capture;
    Secret secret(CANARY);
    auto logger = capture.logger(format).with({{"token", secret}});
    logger.info("login", {{"password", secret}});
    ASSERT_EQ(capture.lines.size(), 1u);
    EXPECT_EQ(capture.lines[0].find("canary"), std::string::npos) << capture.lines[0];
    EXPECT_NE(capture.lines[0].find("[secret]"), std::string::npos);
    EXPECT_EQ(secret.reveal(), CANARY);
  }
}

TEST(Log, aSecretMovesAndCopiesWhole) {
  Secret a(CANARY);
  Secret b = a;
  Secret c = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that it is gone is the point
  EXPECT_EQ(b.reveal(), CANARY);
  b = c;
  c = std::move(b);
  EXPECT_EQ(c.reveal(), CANARY);
}

TEST(Log, levelsBelowTheAskedOneAreSilent) {
  Capture capture;
  auto logger = capture.logger(LogFormat::TEXT, LogLevel::WARN);
  logger.debug("no");
  logger.info("no");
  EXPECT_FALSE(logger.enabled(LogLevel::INFO));
  logger.warn("yes");
  logger.error("yes");
  EXPECT_EQ(capture.lines.size(), 2u);
}

TEST(Log, exceptionsAreLoggedWithoutTheirStack) {
  Capture capture;
  auto exception = KJ_EXCEPTION(FAILED, "peer gone");
  capture.logger(LogFormat::TEXT).error("lost", {{"cause", exception}});
  EXPECT_NE(capture.lines.at(0).find("log_test.cpp:"), std::string::npos) << capture.lines[0];
  EXPECT_NE(capture.lines[0].find("peer gone"), std::string::npos);
  EXPECT_EQ(capture.lines[0].find("stack"), std::string::npos);
}

TEST(Log, linesOfTwoThreadsDoNotMix) {
  Capture capture;
  auto logger = capture.logger(LogFormat::JSON);
  auto write = [logger](const char* who) {
    for (int i = 0; i < 200; ++i) logger.info("line", {{"who", who}, {"i", i}});
  };
  std::thread other(write, "other");
  write("self");
  other.join();
  EXPECT_EQ(capture.lines.size(), 400u);
  for (const auto& line : capture.lines) EXPECT_TRUE(nlohmann::json::accept(line));
}

TEST(Log, readsLevelsAndFormats) {
  EXPECT_EQ(parseLogLevel("warn"), LogLevel::WARN);
  EXPECT_EQ(parseLogLevel("WARN"), std::nullopt);
  EXPECT_EQ(parseLogFormat("json"), LogFormat::JSON);
  EXPECT_EQ(parseLogFormat("yaml"), std::nullopt);
}

}  // namespace
}  // namespace muster::log_test
