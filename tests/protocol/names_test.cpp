#include "protocol/names.h"

#include "base/random.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace muster::names_test {
namespace {

TEST(Names, followTheGrammar) {
  struct Case {
    std::string name;
    NameKind kind;
    bool good;
  };
  const std::vector<Case> cases = {
      {"a", NameKind::DEPLOYMENT, true},
      {"qwen-7b", NameKind::DEPLOYMENT, true},
      {"a--", NameKind::TENANT, true},
      {std::string(63, 'a'), NameKind::DEPLOYMENT, true},
      {std::string(64, 'a'), NameKind::DEPLOYMENT, false},
      {std::string(48, 'a'), NameKind::NODE, true},
      {std::string(49, 'a'), NameKind::NODE, false},
      {std::string(49, 'a'), NameKind::COORDINATOR, false},
      {std::string(49, 'a'), NameKind::CLUSTER, true},
      {"", NameKind::DEPLOYMENT, false},
      {"7b", NameKind::DEPLOYMENT, false},
      {"-a", NameKind::DEPLOYMENT, false},
      {"Qwen", NameKind::DEPLOYMENT, false},
      {"a_b", NameKind::DEPLOYMENT, false},
      {"a.b", NameKind::NODE, false},
      {"a/b", NameKind::DEPLOYMENT, false},
      {"\xc3\xa4", NameKind::DEPLOYMENT, false},
      {std::string("a\0b", 3), NameKind::DEPLOYMENT, false},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    auto checked = checkName(c.name, c.kind);
    EXPECT_EQ(checked.ok(), c.good);
    if (!checked.ok()) {
      EXPECT_EQ(checked.refusal().code, RefusalCode::INVALID_NAME);
    }
  }
}

TEST(Names, saysWhatIsWrongAndWhatWouldBeRight) {
  auto checked = checkName("Qwen_2.5 7B", NameKind::DEPLOYMENT);
  ASSERT_FALSE(checked.ok());
  EXPECT_EQ(checked.refusal().text,
            "deployment name \"Qwen_2.5 7B\" must start with a lower-case letter");
  EXPECT_EQ(checked.refusal().fixes, std::vector<std::string>{"write \"qwen-2-5-7b\""});
}

TEST(Names, everySuggestionIsAGoodName) {
  SeededRandom random(7);
  int suggested = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string name;
    for (uint64_t n = random.below(70); n > 0; --n) name += static_cast<char>(random.below(256));
    if (auto better = suggestName(name, NameKind::NODE)) {
      ++suggested;
      EXPECT_TRUE(checkName(*better, NameKind::NODE).ok()) << *better;
    }
  }
  EXPECT_GT(suggested, 1000);
}

TEST(References, areReadWithAndWithoutTenantReplicaAndRank) {
  struct Case {
    std::string text;
    Reference wanted;
  };
  const TenantName search{"search"};
  const DeploymentName ranker{"ranker"};
  const std::vector<Case> cases = {
      {"ranker", {{}, ranker, {}, {}}},
      {"search/ranker", {search, ranker, {}, {}}},
      {"ranker/0", {{}, ranker, ReplicaNumber{0}, {}}},
      {"ranker/0/5", {{}, ranker, ReplicaNumber{0}, RankNumber{5}}},
      {"search/ranker/12", {search, ranker, ReplicaNumber{12}, {}}},
      {"search/ranker/0/5", {search, ranker, ReplicaNumber{0}, RankNumber{5}}},
      {"a/4294967295", {{}, {"a"}, ReplicaNumber{4294967295u}, {}}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    auto reference = parseReference(c.text);
    ASSERT_TRUE(reference.ok()) << reference.refusal().text;
    EXPECT_EQ(*reference, c.wanted);
    EXPECT_EQ(toText(*reference), c.text);
  }
}

TEST(Names, aliasesMayBeWhatClientsOfOtherServersSay) {
  for (std::string alias :
       {"gpt-4o", "gpt-3.5-turbo", "Qwen/Qwen2.5-7B-Instruct", "llama3:8b", "7b", "a_b@c"}) {
    EXPECT_TRUE(checkAlias(alias).ok()) << alias;
  }
  EXPECT_TRUE(checkAlias(std::string(128, 'x')).ok());
  for (const std::string& alias :
       {std::string(), std::string("-a"), std::string("/a"), std::string("a b"), std::string("a\n"),
        std::string("\xc3\xa4"), std::string("a\0", 2), std::string("a\""),
        std::string(129, 'x')}) {
    auto checked = checkAlias(alias);
    ASSERT_FALSE(checked.ok()) << alias;
    EXPECT_EQ(checked.refusal().code, RefusalCode::INVALID_NAME);
  }
}

TEST(References, refuseEverythingElse) {
  for (std::string text :
       {"", "/", "a/", "/a", "a//b", "0/a", "A", "a/B", "a/b/c", "a/b/0/0/0", "a/0/0/0", "a/-1",
        "a/01", "a/4294967296", "a/0x1", "a/1 ", " a", "a/b/0/x"}) {
    SCOPED_TRACE(text);
    auto reference = parseReference(text);
    ASSERT_FALSE(reference.ok());
    EXPECT_EQ(reference.refusal().code, RefusalCode::INVALID_NAME);
    EXPECT_FALSE(reference.refusal().text.empty());
  }
}

TEST(References, namesAGpuByNodeAndIndex) {
  auto gpu = parseGpuReference("gpu02:5");
  ASSERT_TRUE(gpu.ok());
  EXPECT_EQ(*gpu, (GpuReference{NodeName{"gpu02"}, DeviceIndex{5}}));
  EXPECT_EQ(toText(*gpu), "gpu02:5");
  for (std::string text : {"", ":", "gpu02", "gpu02:", ":5", "gpu02:x", "gpu02:5:1", "gpu02:-1",
                           "GPU02:5", "gpu02:05"}) {
    EXPECT_FALSE(parseGpuReference(text).ok()) << text;
  }
}

}  // namespace
}  // namespace muster::names_test
