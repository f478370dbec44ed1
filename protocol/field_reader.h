// Reads single values out of a YAML tree and collects every complaint with its place.
#pragma once

#include "base/result.h"
#include "base/units.h"
#include "protocol/names.h"
#include "protocol/yaml_document.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

struct NumberRange {
  uint64_t min = 0;
  uint64_t max = 0;
};

// Each reading function returns nothing after it has reported why. Paths are those of the current
// field, set by `enter`.
class FieldReader {
 public:
  // Borrows both.
  FieldReader(const SourceText& source, std::vector<InputError>& errors);

  // All that is reported from now on concerns this field of this document.
  void enter(std::string document, std::string path);
  const std::string& path() const { return path_; }
  const std::string& document() const { return document_; }

  // Whether further reports are dropped: nobody reads more than 50.
  bool isFull() const;
  void report(RefusalCode code, size_t at, std::string message, std::string hint = {});
  // "replicas is "many": a whole number from 0 to 10000 is wanted".
  void reportWrongKind(const YamlNode& node, std::string_view wanted, std::string hint = {});

  std::optional<uint64_t> number(const YamlNode& node, NumberRange range);
  std::optional<std::string> text(
      const YamlNode& node);  // any scalar, in its own spelling; not empty
  std::optional<Duration> duration(const YamlNode& node);  // whole milliseconds, at least 1
  std::optional<Bytes> bytes(const YamlNode& node);        // at least 1
  std::optional<std::string> name(const YamlNode& node, NameKind kind);
  std::optional<std::string> alias(const YamlNode& node);
  // One of the words; any other is refused with the nearest.
  std::optional<std::string> word(const YamlNode& node, std::span<const std::string_view> words);
  // A list of texts; a single scalar is refused. What is wrong is left out.
  std::vector<std::string> textList(const YamlNode& node);

 private:
  std::optional<std::string> nameIf(const Result<Done>& checked, const YamlNode& node);

  const SourceText& source_;
  std::vector<InputError>& errors_;
  std::string document_;
  std::string path_;
};

// For messages: the value as it stands in the file, cut to a readable length, in quotes; or "a
// list".
std::string shown(const YamlNode& node);
std::string quotedForMessage(std::string_view text);

// "a, b or c".
std::string alternatives(std::span<const std::string_view> words);

// "did you mean "parallel"?", or nothing when no word is near.
std::string nearestHint(std::string_view seen, std::span<const std::string_view> words);

}  // namespace muster
