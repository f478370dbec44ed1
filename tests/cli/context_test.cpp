#include "cli/context.h"

#include "tests/base/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace muster::cli::context_test {
namespace {

class ContextTest : public testing::Test {
 protected:
  ContextTest() { std::filesystem::create_directories(folder / "prod"); }

  std::string write(const std::string& name, const std::string& content) {
    std::string path = folder / name;
    std::ofstream(path) << content;
    return path;
  }
  std::string validFile(const std::string& name, const std::string& cluster) {
    return write(name, "cluster = \"" + cluster +
                           "\"\ncoordinators = [\"a:1\", \"b:2\"]\nca = \"pki/ca.crt\"\n"
                           "certificate = \"/abs/me.crt\"\nkey = \"../me.key\"\n");
  }

  TemporaryFolder folder;
  Environment environment{{"XDG_CONFIG_HOME", folder.path() + "/config"},
                          {"XDG_STATE_HOME", folder.path() + "/state"}};
};

TEST_F(ContextTest, pathsAreRelativeToTheFile) {
  auto context = readContextFile(validFile("prod/context.toml", "prod"));
  ASSERT_TRUE(context.ok()) << context.refusal().text;
  EXPECT_EQ(context->cluster.value, "prod");
  EXPECT_EQ(context->coordinators, (std::vector<std::string>{"a:1", "b:2"}));
  EXPECT_EQ(context->tls.ca, folder / "prod/pki/ca.crt");
  EXPECT_EQ(context->tls.certificate, "/abs/me.crt");
  EXPECT_EQ(context->tls.key, folder / "me.key");
}

TEST_F(ContextTest, aWrittenFileIsReadBackAndItsFolderCanBeMoved) {
  ClusterContext context{.cluster = {"prod"},
                         .coordinators = {"127.0.0.1:7401"},
                         .tls = {folder / "prod/pki/ca.crt", folder / "prod/me.crt", "/abs/me.key"},
                         .gateway = "http://127.0.0.1:7402"};
  ASSERT_TRUE(writeContextFile(folder / "prod/context.toml", context).ok());
  std::filesystem::rename(folder / "prod", folder / "moved");
  auto read = readContextFile(folder / "moved/context.toml");
  ASSERT_TRUE(read.ok()) << read.refusal().text;
  EXPECT_EQ(read->coordinators, context.coordinators);
  EXPECT_EQ(read->gateway, context.gateway);
  EXPECT_EQ(read->tls.ca, folder / "moved/pki/ca.crt");
  EXPECT_EQ(read->tls.certificate, folder / "moved/me.crt");
  EXPECT_EQ(read->tls.key, "/abs/me.key");
}

TEST_F(ContextTest, wrongFilesAreRefused) {
  struct Case {
    const char* name;
    std::string content;
    RefusalCode code;
  };
  const std::string rest = "ca = \"a\"\ncertificate = \"b\"\nkey = \"c\"\n";
  const Case CASES[] = {
      {"unknown key", "cluster = \"p\"\ncoordinators = [\"a:1\"]\ncolour = 1\n" + rest,
       RefusalCode::UNKNOWN_FIELD},
      {"missing key", "cluster = \"p\"\ncoordinators = [\"a:1\"]\n", RefusalCode::MISSING_FIELD},
      {"no coordinator", "cluster = \"p\"\ncoordinators = []\n" + rest, RefusalCode::INVALID_VALUE},
      {"no port", "cluster = \"p\"\ncoordinators = [\"a\"]\n" + rest, RefusalCode::INVALID_VALUE},
      {"bad cluster", "cluster = \"../p\"\ncoordinators = [\"a:1\"]\n" + rest,
       RefusalCode::INVALID_NAME},
      {"no TOML", "cluster = \n", RefusalCode::INVALID_SYNTAX},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto context = readContextFile(write("wrong.toml", c.content));
    ASSERT_FALSE(context.ok());
    EXPECT_EQ(context.refusal().code, c.code);
  }
  EXPECT_EQ(readContextFile(folder / "none.toml").refusal().code, RefusalCode::NOT_FOUND);
}

TEST_F(ContextTest, flagThenVariableThenCurrentDecide) {
  ASSERT_TRUE(addContext({"one", validFile("one.toml", "one")}, environment).ok());
  ASSERT_TRUE(addContext({"two", validFile("two.toml", "two")}, environment).ok());
  std::string file = validFile("three.toml", "three");
  EXPECT_EQ(chooseContext("", environment).refusal().code, RefusalCode::NOT_FOUND);
  ASSERT_TRUE(useContext("one", environment).ok());
  EXPECT_EQ(chooseContext("", environment)->cluster.cluster.value, "one");
  environment["MUSTER_CONTEXT"] = "two";
  EXPECT_EQ(chooseContext("", environment)->cluster.cluster.value, "two");
  EXPECT_EQ(chooseContext(file, environment)->cluster.cluster.value, "three");
  EXPECT_EQ(chooseContext("one", environment)->name, "one");
  environment["MUSTER_CONTEXT"] = file;
  EXPECT_EQ(chooseContext("", environment)->cluster.cluster.value, "three");
}

TEST_F(ContextTest, anUnknownNameGetsASuggestion) {
  ASSERT_TRUE(addContext({"staging", validFile("one.toml", "one")}, environment).ok());
  auto chosen = chooseContext("stagin", environment);
  ASSERT_FALSE(chosen.ok());
  EXPECT_EQ(chosen.refusal().text, "there is no context \"stagin\": did you mean \"staging\"?");
  EXPECT_FALSE(useContext("stagin", environment).ok());
}

TEST_F(ContextTest, onlyTheFirstBecomesCurrentByItself) {
  auto first = setCurrentContextIfNone({"one", validFile("one.toml", "one")}, environment);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(*first);
  auto second = setCurrentContextIfNone({"two", validFile("two.toml", "two")}, environment);
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(*second);
  EXPECT_EQ(chooseContext("", environment)->name, "one");
  EXPECT_TRUE(*setCurrentContextIfNone({"one", folder / "one.toml"}, environment));
}

TEST_F(ContextTest, aFileThatIsNoContextCannotBeAdded) {
  EXPECT_FALSE(addContext({"x", write("x.toml", "a = 1\n")}, environment).ok());
  EXPECT_TRUE(readUserContexts(environment)->contexts.empty());
}

}  // namespace
}  // namespace muster::cli::context_test
