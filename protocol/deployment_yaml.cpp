#include "protocol/deployment_yaml.h"

#include "protocol/deployment_checks.h"
#include "protocol/deployment_fields.h"
#include "protocol/field_reader.h"
#include "protocol/yaml_document.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace muster {
namespace {

constexpr std::string_view BYTE_ORDER_MARK = "\xef\xbb\xbf";

std::string join(std::string_view path, std::string_view word) {
  return path.empty() ? std::string(word) : std::string(path) + "." + std::string(word);
}

// Where a misspelt or misplaced field belongs: the nearest of this map, else the same word in
// another.
std::string suggestField(std::string_view word, std::string_view path) {
  std::vector<std::string_view> near;
  for (const FieldRow* row : fieldsInside(path)) near.push_back(lastWord(row->path));
  std::string hint = nearestHint(word, near);
  if (!hint.empty()) return hint;
  for (const FieldRow& row : deploymentFields()) {
    if (lastWord(row.path) == word) return "did you mean \"" + std::string(row.path) + "\"?";
  }
  return {};
}

// Walks one document by the table of fields.
class DocumentReader {
 public:
  DocumentReader(FieldReader& reader, std::string document, DeploymentSpec& spec)
      : reader_(reader), document_(std::move(document)), spec_(spec) {}

  void readMap(const YamlNode& map, const std::string& path) {
    for (const auto& entry : map.entries) {
      if (!reader_.isFull()) readEntry(entry, path);
    }
    for (const FieldRow* row : fieldsInside(path)) {
      if (row->need == FieldNeed::REQUIRED && map.find(lastWord(row->path)) == nullptr) {
        reader_.enter(document_, std::string(row->path));
        reader_.report(RefusalCode::MISSING_FIELD, map.at,
                       document_ + " has no " + std::string(row->path),
                       "add " + std::string(lastWord(row->path)) + ": " + std::string(row->form));
      }
    }
  }

 private:
  void readEntry(const YamlEntry& entry, const std::string& path) {
    const FieldRow* row = findField(join(path, entry.key));
    bool dotted = entry.key.find('.') != std::string::npos;
    if (row == nullptr || dotted) {
      reader_.enter(document_, join(path, entry.key));
      reader_.report(RefusalCode::UNKNOWN_FIELD, entry.at,
                     "unknown field " + quotedForMessage(entry.key) + " in " +
                         (path.empty() ? "" : path + " of ") + document_,
                     suggestField(entry.key, path));
    } else {
      reader_.enter(document_, std::string(row->path));
      readField(*row, entry);
    }
  }

  void readField(const FieldRow& row, const YamlEntry& entry) {
    using Kind = YamlNode::Kind;
    if (row.support == FieldSupport::NOT_YET) {
      reader_.report(RefusalCode::NOT_SUPPORTED_YET, entry.at,
                     std::string(row.path) + " is not supported yet", "leave it out");
    } else if (entry.value.kind == Kind::NOTHING) {
      reader_.report(RefusalCode::INVALID_VALUE, entry.at, std::string(row.path) + " has no value",
                     "write " + std::string(row.form) + ", or leave it out");
    } else if (entry.value.kind == Kind::MAP && !fieldsInside(row.path).empty()) {
      readMap(entry.value, std::string(row.path));
    } else if (entry.value.kind != Kind::BROKEN && row.read == nullptr) {
      reader_.reportWrongKind(entry.value, row.form);
    } else if (entry.value.kind != Kind::BROKEN) {
      row.read(reader_, entry.value, spec_);
    }
  }

  FieldReader& reader_;
  std::string document_;
  DeploymentSpec& spec_;
};

// "deployment chat-70b", or by its number when it has no usable name.
std::string documentLabel(const YamlNode& document, size_t number) {
  const YamlNode* name = document.find("name");
  bool usable = name != nullptr && name->kind == YamlNode::Kind::SCALAR &&
                checkName(name->text, NameKind::DEPLOYMENT).ok();
  return usable ? "deployment " + name->text : "document " + std::to_string(number);
}

// Documents of another kind have other fields: only the kind is complained of.
bool isOtherKind(const YamlNode& document) {
  const YamlNode* kind = document.find("kind");
  return kind != nullptr && kind->kind == YamlNode::Kind::SCALAR && kind->text != "deployment";
}

void readOtherKind(FieldReader& reader, const YamlNode& document, std::string label) {
  DeploymentSpec unused;
  reader.enter(std::move(label), "kind");
  findField("kind")->read(reader, *document.find("kind"), unused);
}

void addFlaws(FieldReader& reader, const YamlRead& read) {
  reader.enter({}, {});
  for (const auto& flaw : read.flaws) reader.report(flaw.code, flaw.at, flaw.message, flaw.hint);
}

class FileReader {
 public:
  FileReader(const SourceText& source, const DeploymentYamlOptions& options)
      : options_(options), reader_(source, errors_) {}

  void read(const YamlRead& yaml) {
    addFlaws(reader_, yaml);
    for (const auto& document : yaml.documents) readDocument(document);
    if (number_ == 0 && errors_.empty()) {
      reader_.report(RefusalCode::MISSING_FIELD, 0, "there is no deployment in it",
                     "start with version: 1");
    }
  }

  // In the order of the text, without repeats of one place.
  std::vector<InputError> takeErrors() {
    auto place = [](const InputError& error) { return std::pair(error.line, error.column); };
    std::ranges::stable_sort(errors_, {}, place);
    auto isRepeat = [&](const auto& a, const auto& b) {
      return place(a) == place(b) && a.message == b.message;
    };
    errors_.erase(std::unique(errors_.begin(), errors_.end(), isRepeat), errors_.end());
    return std::move(errors_);
  }
  std::vector<DeploymentSpec> takeSpecs() { return std::move(specs_); }

 private:
  void readDocument(const YamlNode& document) {
    std::string label = documentLabel(document, ++number_);
    if (document.kind == YamlNode::Kind::BROKEN) return;
    if (document.kind != YamlNode::Kind::MAP) {
      reader_.enter(label, {});
      reader_.report(RefusalCode::INVALID_SYNTAX, document.at,
                     label + " is " + shown(document) + ", wanted: fields such as version: 1");
    } else if (isOtherKind(document)) {
      readOtherKind(reader_, document, label);
    } else {
      readDeployment(document, label);
    }
  }

  void readDeployment(const YamlNode& document, const std::string& label) {
    DeploymentSpec spec;
    spec.tenant = options_.tenant;
    size_t before = errors_.size();
    DocumentReader(reader_, label, spec).readMap(document, {});
    checkTogether(reader_, document, label, spec);
    checkNameIsNew(document, label, spec);
    if (errors_.size() == before) specs_.push_back(std::move(spec));
  }

  void checkNameIsNew(const YamlNode& document, const std::string& label,
                      const DeploymentSpec& spec) {
    if (spec.name.value.empty() || names_.insert({spec.tenant, spec.name}).second) return;
    reader_.enter(label, "name");
    reader_.report(RefusalCode::DUPLICATE_KEY, document.find("name")->at,
                   label + " is described twice in this file");
  }

  const DeploymentYamlOptions& options_;
  std::vector<InputError> errors_;
  FieldReader reader_;
  std::set<std::pair<TenantName, DeploymentName>> names_;
  std::vector<DeploymentSpec> specs_;
  size_t number_ = 0;  // of the documents read
};

Refusal refuse(std::vector<InputError> errors, std::string_view fileName) {
  Refusal refusal{errors.front().code, std::string(fileName) + ": " + errors.front().message};
  if (errors.size() > 1) {
    refusal.text += " (and " + std::to_string(errors.size() - 1) +
                    (errors.size() == 2 ? " more error)" : " more errors)");
  }
  refusal.errors = std::move(errors);
  refusal.fixes.push_back("muster explain deployment");
  return refusal;
}

}  // namespace

Result<std::vector<DeploymentSpec>> parseDeployments(std::string_view yaml,
                                                     std::string_view fileName,
                                                     const DeploymentYamlOptions& options) {
  if (yaml.starts_with(BYTE_ORDER_MARK)) yaml.remove_prefix(BYTE_ORDER_MARK.size());
  SourceText source(yaml);
  FileReader file(source, options);
  file.read(readYaml(source));
  auto errors = file.takeErrors();
  if (!errors.empty()) return refuse(std::move(errors), fileName);
  return file.takeSpecs();
}

}  // namespace muster
