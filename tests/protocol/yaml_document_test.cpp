#include "protocol/yaml_document.h"

#include "base/random.h"
#include "protocol/tree_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace muster::yaml_document_test {
namespace {

YamlRead read(const std::string& text) {
  SourceText source(text);
  return readYaml(source);
}

TEST(YamlDocument, keepsTextAndQuotesAndPlace) {
  auto yaml = read("a: 1.10\nb: \"2\"\nc: [x, 'y z']\n");
  ASSERT_TRUE(yaml.flaws.empty()) << yaml.flaws[0].message;
  ASSERT_EQ(yaml.documents.size(), 1u);
  const YamlNode& root = yaml.documents[0];
  ASSERT_EQ(root.entries.size(), 3u);
  EXPECT_EQ(root.find("a")->text, "1.10");
  EXPECT_FALSE(root.find("a")->quoted);
  EXPECT_EQ(root.find("b")->text, "2");
  EXPECT_TRUE(root.find("b")->quoted);
  EXPECT_EQ(root.find("c")->items.at(1).text, "y z");
  EXPECT_EQ(root.find("a")->at, 3u);
  EXPECT_EQ(root.entries[1].at, 8u);
  EXPECT_EQ(root.find("nothing"), nullptr);
}

TEST(YamlDocument, readsJsonAndSeveralDocuments) {
  auto json = read(R"({"a":1,"b":{"c":[true,"x\/y\u00e4"]}})");
  ASSERT_TRUE(json.flaws.empty()) << json.flaws[0].message;
  EXPECT_EQ(json.documents.at(0).find("b")->find("c")->items.at(1).text, "x/y\xc3\xa4");
  auto tabs = read("{\n\t\"a\": 1,\n\t\"b\": [\n\t\t2\n\t]\n}\n");
  EXPECT_TRUE(tabs.flaws.empty()) << tabs.flaws[0].message;
  auto several = read("---\na: 1\n---\n---\nb: 2\n...\n");
  EXPECT_TRUE(several.flaws.empty());
  EXPECT_EQ(several.documents.size(), 2u) << "the empty one is left out";
  EXPECT_TRUE(read("").documents.empty());
  EXPECT_TRUE(read("# only a comment\n").documents.empty());
}

TEST(YamlDocument, refusesWhatTwoReadersReadDifferently) {
  struct Case {
    std::string text;
    RefusalCode code;
    uint32_t line;
    uint32_t column;
  };
  const std::vector<Case> cases = {
      {"a: 1\na: 2\n", RefusalCode::DUPLICATE_KEY, 2, 1},
      {"{a: 1, b: {c: 1, 'c': 2}}", RefusalCode::DUPLICATE_KEY, 1, 18},
      {"a: yes\n", RefusalCode::AMBIGUOUS_VALUE, 1, 4},
      {"a: [1, No]\n", RefusalCode::AMBIGUOUS_VALUE, 1, 8},
      {"a: ON\n", RefusalCode::AMBIGUOUS_VALUE, 1, 4},
      {"a: off\n", RefusalCode::AMBIGUOUS_VALUE, 1, 4},
      {"a: y\n", RefusalCode::AMBIGUOUS_VALUE, 1, 4},
      {"on: 1\n", RefusalCode::AMBIGUOUS_VALUE, 1, 1},
      {"a: &x 1\nb: 2\n", RefusalCode::AMBIGUOUS_VALUE, 1, 4},
      {"a: *x\n", RefusalCode::AMBIGUOUS_VALUE, 1, 4},
      {"a: !!str 1\n", RefusalCode::AMBIGUOUS_VALUE, 1, 4},
      {"a: ! 1\n", RefusalCode::AMBIGUOUS_VALUE, 1, 4},
      {"a: !<tag:x> {b: 1}\n", RefusalCode::AMBIGUOUS_VALUE, 1, 4},
      {"? [a]\n: 1\n", RefusalCode::INVALID_SYNTAX, 1, 3},
      {"a: [1, 2\n", RefusalCode::INVALID_SYNTAX, 2, 1},
      {"a: \"open\n", RefusalCode::INVALID_SYNTAX, 1, 4},
      {"a: 'it''s\n", RefusalCode::INVALID_SYNTAX, 1, 4},
      {"a: \"b\\\"\n", RefusalCode::INVALID_SYNTAX, 1, 4},
      {"a: 1\n\tb: 2\n", RefusalCode::INVALID_SYNTAX, 2, 1},
      {"a: b: c\n", RefusalCode::INVALID_SYNTAX, 1, 5},
      {"a: \"\\x00\"\n", RefusalCode::INVALID_VALUE, 1, 4},
      {"a: \"\\e[0m\"\n", RefusalCode::INVALID_VALUE, 1, 4},
      {"a: \xff\n", RefusalCode::INVALID_SYNTAX, 1, 4},
      {std::string("a: \0\n", 5), RefusalCode::INVALID_SYNTAX, 1, 4},
      {std::string(30, '[') + std::string(30, ']'), RefusalCode::TOO_LARGE, 1, 25},
      {std::string(YAML_SIZE_MAX + 1, ' '), RefusalCode::TOO_LARGE, 1, 1},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text.substr(0, 60));
    SourceText source(c.text);
    auto yaml = readYaml(source);
    ASSERT_EQ(yaml.flaws.size(), 1u);
    EXPECT_EQ(toText(yaml.flaws[0].code), toText(c.code)) << yaml.flaws[0].message;
    auto place = source.position(yaml.flaws[0].at);
    EXPECT_EQ(place.line, c.line);
    EXPECT_EQ(place.column, c.column);
  }
}

TEST(YamlDocument, takesQuotedWordsThatWouldBeAmbiguous) {
  auto yaml = read("a: 'yes'\nb: \"off\"\n'no': 1\nn: 4\nc: 'it''s'\nd: \"\\\"\"");
  EXPECT_TRUE(yaml.flaws.empty());
  EXPECT_EQ(yaml.documents.at(0).entries.size(), 6u);
}

TEST(YamlDocument, reportsSeveralFlawsAndKeepsTheRest) {
  auto yaml = read("a: yes\nb: 2\nb: 3\nc: &x 1\n");
  EXPECT_EQ(yaml.flaws.size(), 3u);
  EXPECT_EQ(yaml.documents.at(0).find("b")->text, "2");
  EXPECT_EQ(yaml.documents.at(0).find("a")->kind, YamlNode::Kind::BROKEN);
}

TEST(YamlDocument, keepsDocumentsBeforeASyntaxError) {
  auto yaml = read("a: 1\n---\nb: [\n");
  EXPECT_EQ(yaml.flaws.size(), 1u);
  EXPECT_EQ(yaml.documents.size(), 1u);
}

// Doubles nine times nine: 10^9 values if aliases were expanded.
TEST(YamlDocument, anAliasBombStaysSmall) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    std::string name = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + name;
    for (int k = 0; k < 9; ++k) bomb += ", " + name;
    bomb += "]\n";
  }
  auto yaml = read(bomb);
  EXPECT_EQ(yaml.flaws.size(), 50u) << "reading stops at the limit of flaws";
  EXPECT_EQ(yaml.flaws[0].code, RefusalCode::AMBIGUOUS_VALUE);
}

// Inputs that make naive readers quadratic or deep; the time limit of the test ends it if they do.
TEST(YamlDocument, hostileShapesEndQuickly) {
  auto repeat = [](std::string part, size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += part;
    return text;
  };
  for (std::string part :
       {"[",  "{",    "{a: ", "? ",  "- ",    "a: ",    "\"a", "'",   "&a ",   "*a ",  "!a ",
        "a,", "[a],", "%",    "|\n", "---\n", "a: 1\n", "#",   "-\n", "? a\n", "[]\n", ": "}) {
    SCOPED_TRACE(part);
    auto yaml = read(repeat(part, 100'000));
    EXPECT_LE(yaml.flaws.size(), 50u);
  }
  auto list = read("[" + repeat("a,", 40'000) + "a]");
  EXPECT_TRUE(list.flaws.empty());
}

TEST(YamlDocument, neverThrowsOnRandomBytes) {
  constexpr std::string_view ALPHABET = "ab:1 \n-[]{},\"'&*!|>%?#~\\\t\r.=<";
  SeededRandom random(20260);
  size_t documents = 0;
  for (int round = 0; round < 8'000; ++round) {
    std::string text;
    bool any = round % 4 == 0;
    for (uint64_t n = random.below(60); n > 0; --n) {
      text += any ? static_cast<char>(random.below(256)) : ALPHABET[random.below(ALPHABET.size())];
    }
    SCOPED_TRACE(text);
    auto yaml = read(text);
    documents += yaml.documents.size();
    for (const auto& flaw : yaml.flaws) EXPECT_LE(flaw.at, text.size() + 1);
  }
  EXPECT_GT(documents, 1000u) << "the alphabet makes too few that can be read";
}

// --- tree_text -----------------------------------------------------------------------------------

YamlNode randomTree(Random& random, int depth) {
  constexpr std::string_view PIECES[] = {
      "a", "7", " ", ":", "#", "yes", "-",        "\"",   "\\", "\n",  "\t",  "'",
      "{", "]", ",", "&", "*", "!",   "\xc3\xa4", "true", "~",  "0x1", "1e3", "2020-01-01"};
  auto text = [&] {
    std::string made;
    for (uint64_t n = random.below(4); n > 0; --n) made += PIECES[random.below(std::size(PIECES))];
    return made;
  };
  YamlNode node;
  uint64_t kind = depth == 0 ? 2 : random.below(4);
  if (kind >= 2) return yamlText(text());
  node.kind = kind == 0 ? YamlNode::Kind::LIST : YamlNode::Kind::MAP;
  for (uint64_t n = random.below(4); n > 0; --n) {
    YamlNode value = randomTree(random, depth - 1);
    if (kind == 0) {
      node.items.push_back(value);
    } else if (std::string key = text(); node.find(key) == nullptr) {
      node.entries.push_back({key, 0, value});
    }
  }
  return node;
}

// As JSON both sides, which ignores places and keeps every text.
TEST(TreeText, readsBackAsTheSameTree) {
  SeededRandom random(11);
  for (int round = 0; round < 3000; ++round) {
    YamlNode tree = randomTree(random, 3);
    std::string wanted = toJsonText(tree);
    for (const std::string& text : {wanted, toYamlText(tree), toFlowText(tree)}) {
      SCOPED_TRACE(text);
      auto yaml = read("x: 1\n---\n" + text);
      ASSERT_TRUE(yaml.flaws.empty()) << yaml.flaws[0].message;
      ASSERT_EQ(yaml.documents.size(), 2u);
      YamlNode back = yaml.documents[1];
      std::string seen = toJsonText(back);
      // Plain scalars come back unquoted; quoting both makes them comparable.
      if (text != wanted) {
        auto quoteAll = [](auto& self, YamlNode& node) -> void {
          node.quoted = true;
          for (auto& item : node.items) self(self, item);
          for (auto& entry : node.entries) self(self, entry.value);
        };
        quoteAll(quoteAll, back);
        seen = toJsonText(back);
      }
      ASSERT_EQ(seen, wanted);
    }
  }
}

}  // namespace
}  // namespace muster::yaml_document_test
