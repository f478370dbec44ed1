#include "protocol/explain.h"

#include "base/did_you_mean.h"
#include "protocol/deployment_fields.h"
#include "protocol/field_reader.h"

#include <algorithm>
#include <string>
#include <vector>

namespace muster {
namespace {

constexpr size_t LINE_MAX = 100;

// Breaks at spaces so that no line is longer than LINE_MAX where that can be.
std::string wrap(std::string_view text, const std::string& indent) {
  std::string result;
  std::string line = indent;
  while (!text.empty()) {
    size_t space = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, space);
    if (line.size() > indent.size() && line.size() + 1 + word.size() > LINE_MAX) {
      result += line + "\n";
      line = indent;
    }
    if (line.size() > indent.size()) line += ' ';
    line += word;
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return result + line + "\n";
}

std::string fieldPage(const FieldRow& row, const std::string& indent) {
  std::string text = indent + std::string(row.path);
  if (row.support == FieldSupport::NOT_YET) text += "   (not supported yet)";
  if (row.need == FieldNeed::REQUIRED) text += "   (required)";
  text += "\n" + wrap(row.meaning, indent + "  ");
  text += wrap("form: " + std::string(row.form), indent + "  ");
  if (!row.defaultText.empty()) {
    text += wrap("default: " + std::string(row.defaultText), indent + "  ");
  }
  return text;
}

std::string fieldWithItsParts(const FieldRow& row) {
  std::string text = fieldPage(row, "");
  for (const FieldRow* part : fieldsInside(row.path)) {
    text += "\n" + fieldPage(*part, "  ");
    for (const FieldRow* inner : fieldsInside(part->path)) text += "\n" + fieldPage(*inner, "    ");
  }
  return text;
}

std::string deploymentPage() {
  std::string text =
      "deployment: a model that is served until told otherwise. YAML or JSON; a file may hold "
      "several.\n"
      "Durations: 250ms 30s 5m 2h 3d. Sizes: 80GiB. Required: version, name, model. The least:\n"
      "  version: 1\n"
      "  name: sample\n"
      "  model: file:/srv/models/sample\n";
  for (const FieldRow* row : fieldsInside("")) text += "\n" + fieldWithItsParts(*row);
  return text;
}

std::string codePage(RefusalCode code) {
  const RefusalInfo& info = refusalInfo(code);
  return toText(code) + "   " + std::string(info.title) + "   (exit " +
         std::to_string(info.exitCode) + ")\n" + std::string(info.page) + "\n";
}

// Rows whose last word is this one.
std::vector<const FieldRow*> rowsNamed(std::string_view word) {
  std::vector<const FieldRow*> rows;
  for (const FieldRow& row : deploymentFields()) {
    if (lastWord(row.path) == word) rows.push_back(&row);
  }
  return rows;
}

Refusal unknownWord(std::string_view word) {
  std::vector<std::string> known{"deployment"};
  for (const FieldRow& row : deploymentFields()) known.emplace_back(row.path);
  for (const RefusalInfo& info : allRefusals()) known.push_back(toText(info.code));
  constexpr size_t WORD_MAX = 64;
  std::string hint = word.size() <= WORD_MAX ? didYouMean(word, known) : std::string();
  Refusal refusal{RefusalCode::NOT_FOUND,
                  "there is no field and no error code " + quotedForMessage(word)};
  if (!hint.empty()) refusal.text += ": " + hint;
  refusal.fixes.push_back("muster explain deployment");
  return refusal;
}

}  // namespace

Result<std::string> explain(std::string_view word) {
  if (word == "deployment") return deploymentPage();
  if (auto code = parseRefusalCode(word)) return codePage(*code);
  if (const FieldRow* row = findField(word)) return fieldWithItsParts(*row);
  auto rows = rowsNamed(word);
  if (rows.empty()) return unknownWord(word);
  std::string text;
  for (const FieldRow* row : rows) text += (text.empty() ? "" : "\n") + fieldWithItsParts(*row);
  return text;
}

}  // namespace muster
