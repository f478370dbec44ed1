#include "protocol/deployment_text.h"

#include "protocol/deployment_fields.h"
#include "protocol/tree_text.h"

#include <algorithm>
#include <map>

namespace muster {
namespace {

// The entry of a key, made at the end of the map if it is not there.
YamlNode& child(YamlNode& map, std::string_view key) {
  map.kind = YamlNode::Kind::MAP;
  auto found = std::ranges::find(map.entries, key, &YamlEntry::key);
  if (found != map.entries.end()) return found->value;
  map.entries.push_back({std::string(key), 0, {}});
  return map.entries.back().value;
}

void put(YamlNode& root, std::string_view path, YamlNode value) {
  YamlNode* at = &root;
  for (;;) {
    size_t dot = path.find('.');
    at = &child(*at, path.substr(0, dot));
    if (dot == std::string_view::npos) break;
    path.remove_prefix(dot + 1);
  }
  *at = std::move(value);
}

// `model: {source: X}` is written `model: X`, `engine: {kind: X}` as `engine: X`.
void shorten(YamlNode& root, std::string_view field, std::string_view only) {
  YamlNode& map = child(root, field);
  if (map.entries.size() != 1 || map.entries[0].key != only) return;
  YamlNode value = std::move(map.entries[0].value);
  map = std::move(value);
}

struct FieldText {
  std::string path;
  std::string text;
};

// Every field with a value, maps of names spelt out, in the order of the table.
std::vector<FieldText> flatten(const DeploymentSpec& spec) {
  std::vector<FieldText> fields;
  for (const FieldRow& row : deploymentFields()) {
    auto value = row.write != nullptr ? row.write(spec) : std::nullopt;
    if (!value || row.path == "version" || row.path == "kind") continue;
    if (value->kind != YamlNode::Kind::MAP) {
      fields.push_back({std::string(row.path), toFlowText(*value)});
      continue;
    }
    for (const auto& entry : value->entries) {
      fields.push_back({std::string(row.path) + "." + entry.key, toFlowText(entry.value)});
    }
  }
  return fields;
}

FieldChange change(const std::string& path, std::string before, std::string after) {
  const FieldRow* row = findField(path);  // nothing: a name inside a map
  return {path, std::move(before), std::move(after),
          row != nullptr ? row->effect : ChangeEffect::RESTARTS_RANKS};
}

// Where a field stands in the table, for ordering changes; names inside a map follow their map.
std::pair<size_t, std::string_view> tableOrder(std::string_view path) {
  auto table = deploymentFields();
  size_t best = table.size();
  for (size_t i = 0; i < table.size(); ++i) {
    if (path.starts_with(table[i].path)) best = i;
  }
  return {best, path};
}

std::string pad(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string changeText(const FieldChange& change) {
  return (change.before.empty() ? "(none)" : change.before) + " -> " +
         (change.after.empty() ? "(none)" : change.after);
}

}  // namespace

YamlNode toTree(const DeploymentSpec& spec) {
  YamlNode root;
  for (const FieldRow& row : deploymentFields()) {
    auto value = row.write != nullptr ? row.write(spec) : std::nullopt;
    if (value) put(root, row.path, std::move(*value));
  }
  shorten(root, "model", "source");
  shorten(root, "engine", "kind");
  return root;
}

std::string toYaml(const DeploymentSpec& spec) { return toYamlText(toTree(spec)); }
std::string toJson(const DeploymentSpec& spec) { return toJsonText(toTree(spec)); }

DeploymentDiff diffDeployments(const DeploymentSpec& before, const DeploymentSpec& after) {
  std::map<std::string, std::string> old;
  for (auto& field : flatten(before)) old[field.path] = field.text;
  DeploymentDiff diff;
  for (auto& field : flatten(after)) {
    auto found = old.find(field.path);
    std::string was = found == old.end() ? std::string() : found->second;
    if (was == field.text) {
      ++diff.unchanged;
    } else {
      diff.changes.push_back(change(field.path, was, field.text));
    }
    if (found != old.end()) old.erase(found);
  }
  for (const auto& [path, text] : old) diff.changes.push_back(change(path, text, {}));
  std::ranges::stable_sort(diff.changes, {}, [](const auto& c) { return tableOrder(c.path); });
  return diff;
}

bool restartsRanks(const DeploymentDiff& diff) {
  return std::ranges::any_of(diff.changes, [](const FieldChange& change) {
    return change.effect == ChangeEffect::RESTARTS_RANKS;
  });
}

std::string toText(const DeploymentDiff& diff) {
  size_t pathWidth = 0;
  size_t changeWidth = 0;
  for (const auto& change : diff.changes) {
    pathWidth = std::max(pathWidth, change.path.size());
    changeWidth = std::max(changeWidth, changeText(change).size());
  }
  std::string text;
  for (const auto& change : diff.changes) {
    bool restarts = change.effect == ChangeEffect::RESTARTS_RANKS;
    text += "  ~ " + pad(change.path, pathWidth + 3) + pad(changeText(change), changeWidth + 8) +
            (restarts ? "restarts ranks" : "in place") + "\n";
  }
  text += "  = " + std::to_string(diff.unchanged) +
          (diff.unchanged == 1 ? " field unchanged\n" : " fields unchanged\n");
  return text;
}

}  // namespace muster
