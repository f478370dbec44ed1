#include "tests/sim/sim_tree.h"

#include <cstdio>

namespace muster::sim {
namespace {

using failover::ANY_VERSION;
using failover::CreateMode;
using failover::MultiResult;
using failover::Op;
using failover::OpKind;
using failover::OpResult;
using failover::ZkCode;

std::string parentOf(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string prefixOf(const std::string& path) { return path == "/" ? path : path + "/"; }

OpResult failed(ZkCode code) { return {code, "", -1}; }

}  // namespace

SimTree::SimTree() { nodes_["/"] = Znode{std::make_shared<const std::string>()}; }

const Znode* SimTree::find(const std::string& path) const {
  auto found = nodes_.find(path);
  return found == nodes_.end() ? nullptr : &found->second;
}

std::vector<std::string> SimTree::childrenOf(const std::string& path) const {
  std::vector<std::string> names;
  std::string prefix = prefixOf(path);
  for (auto it = nodes_.upper_bound(prefix); it != nodes_.end(); ++it) {
    if (!it->first.starts_with(prefix)) break;
    std::string rest = it->first.substr(prefix.size());
    if (rest.find('/') == std::string::npos) names.push_back(std::move(rest));
  }
  return names;
}

bool SimTree::hasChildren(const std::string& path) const {
  std::string prefix = prefixOf(path);
  auto next = nodes_.upper_bound(prefix);
  return next != nodes_.end() && next->first.starts_with(prefix);
}

std::vector<std::string> SimTree::ephemeralsOf(int64_t session) const {
  std::vector<std::string> paths;
  for (const auto& [path, node] : nodes_) {
    if (node.ephemeralOwner == session) paths.push_back(path);
  }
  return paths;
}

void SimTree::apply(const Transaction& transaction) {
  for (const TreeChange& change : transaction.changes) {
    if (change.node) {
      nodes_[change.path] = *change.node;
    } else {
      nodes_.erase(change.path);
    }
  }
}

MultiResult SimTree::execute(const std::vector<Op>& ops, int64_t session, int64_t zxid,
                             std::vector<TreeChange>& changes) {
  MultiResult result;
  result.code = ZkCode::OK;
  std::vector<Undo> undo;
  for (const Op& op : ops) {
    if (result.code != ZkCode::OK) {
      result.results.push_back(failed(ZkCode::NOT_REACHED));
      continue;
    }
    result.results.push_back(executeOne(op, session, zxid, changes, undo));
    result.code = result.results.back().code;
  }
  if (result.code == ZkCode::OK) return result;
  for (auto step = undo.rbegin(); step != undo.rend(); ++step) {
    if (step->before) {
      nodes_[step->path] = *step->before;
    } else {
      nodes_.erase(step->path);
    }
  }
  changes.clear();
  return result;
}

void SimTree::put(const std::string& path, Znode node, std::vector<Undo>& undo) {
  auto found = nodes_.find(path);
  undo.push_back({path, found == nodes_.end() ? std::nullopt : std::optional(found->second)});
  nodes_[path] = std::move(node);
}

OpResult SimTree::executeOne(const Op& op, int64_t session, int64_t zxid,
                             std::vector<TreeChange>& changes, std::vector<Undo>& undo) {
  if (op.kind == OpKind::CREATE) return create(op, session, zxid, changes, undo);
  auto found = nodes_.find(op.path);
  if (found == nodes_.end()) return failed(ZkCode::NO_NODE);
  if (op.version != ANY_VERSION && op.version != found->second.version) {
    return failed(ZkCode::BAD_VERSION);
  }
  if (op.kind == OpKind::CHECK) return {ZkCode::OK, op.path, -1};
  if (op.kind == OpKind::REMOVE) {
    if (hasChildren(op.path)) return failed(ZkCode::NOT_EMPTY);
    undo.push_back({op.path, found->second});
    nodes_.erase(found);
    changes.push_back({op.path, std::nullopt, false});
    return {ZkCode::OK, op.path, -1};
  }
  Znode node = found->second;
  node.data = std::make_shared<const std::string>(op.data);
  node.version++;
  put(op.path, node, undo);
  changes.push_back({op.path, node, false});
  return {ZkCode::OK, op.path, node.version};
}

OpResult SimTree::create(const Op& op, int64_t session, int64_t zxid,
                         std::vector<TreeChange>& changes, std::vector<Undo>& undo) {
  auto parent = nodes_.find(parentOf(op.path));
  if (parent == nodes_.end()) return failed(ZkCode::NO_NODE);
  std::string path = op.path;
  if (op.mode == CreateMode::EPHEMERAL_SEQUENTIAL) {
    char number[16];
    std::snprintf(number, sizeof number, "%010d", parent->second.nextSequence);
    path += number;
  }
  if (nodes_.contains(path)) return failed(ZkCode::NODE_EXISTS);
  Znode above = parent->second;
  above.nextSequence++;
  std::string abovePath = parent->first;
  put(abovePath, above, undo);
  changes.push_back({abovePath, above, false});
  Znode node{std::make_shared<const std::string>(op.data)};
  node.createdZxid = zxid;
  if (op.mode != CreateMode::PERSISTENT) node.ephemeralOwner = session;
  put(path, node, undo);
  changes.push_back({path, node, true});
  return {ZkCode::OK, path, -1};
}

}  // namespace muster::sim
