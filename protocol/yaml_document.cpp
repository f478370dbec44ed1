// The one place that knows yaml-cpp. Its events are used, not its nodes: only events tell a quoted
// scalar from a plain one and a repeated key from a new one, and they expand no alias.
#include "protocol/yaml_document.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

namespace muster {
namespace {

constexpr size_t FLAWS_MAX = 50;
constexpr size_t NODES_MAX = 50'000;
constexpr size_t BRACKETS_MAX = 20'000;

// Thrown by the builder when going on makes no sense; the flaw is recorded before.
struct StopReading {};

// yaml-cpp counts bytes of UTF-8 from 0; a mark without a place is negative.
size_t byteOf(const YAML::Mark& mark) { return static_cast<size_t>(std::max(mark.pos, 0)); }

// As a key, y and n stay what they are: names of arguments and variables.
enum class Role { KEY, VALUE };

bool isAmbiguous(std::string_view text, Role role) {
  if (text.empty() || text.size() > 3) return false;
  if (role == Role::KEY && text.size() == 1) return false;
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  constexpr std::array<std::string_view, 6> WORDS{"yes", "no", "on", "off", "y", "n"};
  return std::ranges::find(WORDS, lower) != WORDS.end();
}

// `text` starts with the opening quote. A backslash escapes in "..." only; '' is no end of '...'.
bool hasClosingQuote(std::string_view text) {
  char quote = text[0];
  for (size_t i = 1; i < text.size(); ++i) {
    bool escapes = quote == '"' ? text[i] == '\\' : text.substr(i, 2) == "''";
    if (escapes) {
      ++i;
    } else if (text[i] == quote) {
      return true;
    }
  }
  return false;
}

bool meansTrue(std::string_view word) {
  return word[0] == 'y' || word[0] == 'Y' || word == "on" || word == "On" || word == "ON";
}

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const SourceText& source, YamlRead& read) : source_(source), read_(read) {}

  void OnDocumentStart(const YAML::Mark&) override {
    open_.clear();
    root_ = YamlNode();
  }
  void OnDocumentEnd() override {
    if (root_.kind != YamlNode::Kind::NOTHING) read_.documents.push_back(std::move(root_));
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    checkProperties(mark, {}, anchor);
    add(node(YamlNode::Kind::NOTHING, mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    flaw(RefusalCode::AMBIGUOUS_VALUE, mark, "YAML aliases are not taken", "write the value out");
    add(node(YamlNode::Kind::BROKEN, mark));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    checkProperties(mark, tag, anchor);
    YamlNode scalar = node(YamlNode::Kind::SCALAR, mark);
    scalar.text = value;
    scalar.quoted = tag != "?";
    if (scalar.quoted) lastQuoted_ = scalar.at;
    checkScalar(mark, scalar);
    add(std::move(scalar));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::LIST, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::MAP, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

  void flaw(RefusalCode code, const YAML::Mark& mark, std::string message, std::string hint) {
    flawAt(code, byteOf(mark), std::move(message), std::move(hint));
  }

  void flawAt(RefusalCode code, size_t at, std::string message, std::string hint) {
    read_.flaws.push_back({code, at, std::move(message), std::move(hint)});
    if (read_.flaws.size() >= FLAWS_MAX) throw StopReading();
  }

  // yaml-cpp takes quotes that the end of the text closes. They can only be the last ones of it.
  void checkLastQuotes() {
    if (!lastQuoted_) return;
    std::string_view text = source_.text().substr(*lastQuoted_);
    char quote = text.empty() ? ' ' : text[0];
    if ((quote != '"' && quote != '\'') || hasClosingQuote(text)) return;
    flawAt(RefusalCode::INVALID_SYNTAX, *lastQuoted_, "the quotes are never closed", "");
  }

 private:
  // A list or map whose end has not come yet; for a map, the key whose value comes next.
  struct Frame {
    YamlNode node;
    std::optional<YamlEntry> pending;
    std::set<std::string> keys;
    bool drop = false;  // the pending key is wrong, and so its value is left out
  };

  Role nextRole() const {
    bool inMap = !open_.empty() && open_.back().node.kind == YamlNode::Kind::MAP;
    return inMap && !open_.back().pending ? Role::KEY : Role::VALUE;
  }

  YamlNode node(YamlNode::Kind kind, const YAML::Mark& mark) {
    if (++nodes_ > NODES_MAX) {
      flaw(RefusalCode::TOO_LARGE, mark, "more than " + std::to_string(NODES_MAX) + " values", "");
      throw StopReading();
    }
    YamlNode made;
    made.kind = kind;
    made.at = byteOf(mark);
    return made;
  }

  void checkProperties(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      flaw(RefusalCode::AMBIGUOUS_VALUE, mark, "YAML anchors are not taken", "write the value out");
    }
    size_t byte = byteOf(mark);
    bool written = byte < source_.text().size() && source_.text()[byte] == '!';
    bool given = !tag.empty() && tag != "?" && tag != "!";
    if (written || given) {
      flaw(RefusalCode::AMBIGUOUS_VALUE, mark, "YAML tags are not taken",
           "leave the tag out; \"quotes\" make a text");
    }
  }

  void checkScalar(const YAML::Mark& mark, YamlNode& scalar) {
    if (!scalar.quoted && isAmbiguous(scalar.text, nextRole())) {
      flaw(RefusalCode::AMBIGUOUS_VALUE, mark, "\"" + scalar.text + "\" is ambiguous in YAML",
           std::string("write ") + (meansTrue(scalar.text) ? "true" : "false") + ", or \"" +
               scalar.text + "\" with quotes for the text");
      scalar.kind = YamlNode::Kind::BROKEN;
    } else if (auto control = findTextFlaw(scalar.text)) {
      flaw(RefusalCode::INVALID_VALUE, mark, control->message, "");
      scalar.kind = YamlNode::Kind::BROKEN;
    }
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    checkProperties(mark, tag, anchor);
    if (open_.size() >= YAML_DEPTH_MAX) {
      flaw(RefusalCode::TOO_LARGE, mark,
           "nested more than " + std::to_string(YAML_DEPTH_MAX) + " deep", "");
      throw StopReading();
    }
    open_.push_back({});
    open_.back().node = node(kind, mark);
  }

  void close() {
    YamlNode done = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(done));
  }

  void add(YamlNode value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Frame& parent = open_.back(); parent.node.kind == YamlNode::Kind::LIST) {
      parent.node.items.push_back(std::move(value));
    } else if (!parent.pending) {
      addKey(parent, value);
    } else {
      parent.pending->value = std::move(value);
      if (!parent.drop) parent.node.entries.push_back(std::move(*parent.pending));
      parent.pending.reset();
    }
  }

  void addKey(Frame& parent, const YamlNode& key) {
    parent.pending = YamlEntry{key.text, key.at, {}};
    parent.drop = key.kind != YamlNode::Kind::SCALAR;
    if (key.kind == YamlNode::Kind::BROKEN) return;
    if (parent.drop) {
      flawAt(RefusalCode::INVALID_SYNTAX, key.at, "a key must be a word", "");
    } else if (!parent.keys.insert(key.text).second) {
      parent.drop = true;
      auto first = std::ranges::find(parent.node.entries, key.text, &YamlEntry::key);
      std::string line = first == parent.node.entries.end()
                             ? ""
                             : std::to_string(source_.position(first->at).line);
      flawAt(RefusalCode::DUPLICATE_KEY, key.at, "field \"" + key.text + "\" is given twice",
             line.empty() ? "" : "the first one is in line " + line);
    }
  }

  const SourceText& source_;
  YamlRead& read_;
  YamlNode root_;
  std::vector<Frame> open_;
  std::optional<size_t> lastQuoted_;
  size_t nodes_ = 0;
};

// yaml-cpp keeps tokens for every open bracket of a line before it makes the first event, so that a
// megabyte of them would take a quarter of a gigabyte.
bool hasTooManyBrackets(std::string_view text) {
  auto isBracket = [](char c) { return c == '[' || c == '{'; };
  return static_cast<size_t>(std::ranges::count_if(text, isBracket)) > BRACKETS_MAX;
}

std::optional<YamlFlaw> checkText(const SourceText& source) {
  std::string_view text = source.text();
  if (text.size() > YAML_SIZE_MAX) {
    return YamlFlaw{RefusalCode::TOO_LARGE, 0,
                    "the file has " + std::to_string(text.size()) + " bytes, at most " +
                        std::to_string(YAML_SIZE_MAX) + " are taken",
                    ""};
  }
  if (auto flaw = findTextFlaw(text)) {
    return YamlFlaw{RefusalCode::INVALID_SYNTAX, flaw->byte, flaw->message, "save it as UTF-8"};
  }
  if (hasTooManyBrackets(text)) {
    return YamlFlaw{RefusalCode::TOO_LARGE, 0,
                    "more than " + std::to_string(BRACKETS_MAX) + " lists and maps", ""};
  }
  return std::nullopt;
}

// The commonest of yaml-cpp's complaints, in words that say what to look for.
std::string syntaxMessage(const std::string& theirs) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> WORDS{
      {{"end of sequence flow not found", "a \"[\" is never closed"},
       {"end of map flow not found", "a \"{\" is never closed"},
       {"illegal tab when looking for indentation", "a tab cannot indent"},
       {"illegal EOF in scalar", "the quotes are never closed"},
       {"illegal map value", "a \":\" where no value can start"},
       {"end of map not found", "the indentation does not fit the lines before"}}};
  for (const auto& [wanted, ours] : WORDS) {
    if (theirs == wanted) return std::string(ours);
  }
  return "not YAML: " + theirs;
}

// Anchors are refused in the same words wherever they stop yaml-cpp itself.
void addSyntaxFlaw(const SourceText& source, const YAML::Exception& error, TreeBuilder& builder) {
  size_t byte = byteOf(error.mark);
  std::string_view text = source.text();
  char found = byte < text.size() ? text[byte] : '\0';
  if (found == '*' || error.msg.find("anchor") != std::string::npos) {
    builder.flaw(RefusalCode::AMBIGUOUS_VALUE, error.mark, "YAML anchors and aliases are not taken",
                 "write the value out");
  } else {
    builder.flaw(RefusalCode::INVALID_SYNTAX, error.mark, syntaxMessage(error.msg),
                 found == '\t' ? "indent with spaces" : "");
  }
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  auto found = std::ranges::find(entries, key, &YamlEntry::key);
  return found == entries.end() ? nullptr : &found->value;
}

YamlNode yamlText(std::string text) {
  YamlNode node = yamlPlain(std::move(text));
  node.quoted = true;
  return node;
}

YamlNode yamlNumber(uint64_t number) { return yamlPlain(std::to_string(number)); }

YamlNode yamlPlain(std::string text) {
  YamlNode node;
  node.kind = YamlNode::Kind::SCALAR;
  node.text = std::move(text);
  return node;
}

YamlRead readYaml(const SourceText& source) {
  YamlRead read;
  if (auto flaw = checkText(source)) {
    read.flaws.push_back(std::move(*flaw));
    return read;
  }
  TreeBuilder builder(source, read);
  try {
    std::istringstream stream{std::string(source.text())};
    YAML::Parser parser(stream);
    try {
      while (parser.HandleNextDocument(builder)) {
      }
      builder.checkLastQuotes();
    } catch (const YAML::Exception& error) {
      addSyntaxFlaw(source, error, builder);
    }
  } catch (const StopReading&) {
    // The flaw that stopped it is the last one.
  } catch (const YAML::Exception& error) {
    read.flaws.push_back({RefusalCode::INVALID_SYNTAX, 0, "not YAML: " + error.msg, ""});
  }
  return read;
}

}  // namespace muster
