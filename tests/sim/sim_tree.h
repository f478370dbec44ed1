// A tree of znodes and the rules of one request on it: what each simulated server of the
// coordination service holds.
#pragma once

#include "failover/coordination.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace muster::sim {

struct Znode {
  std::shared_ptr<const std::string> data;
  int32_t version = 0;
  int64_t ephemeralOwner = 0;
  int64_t createdZxid = 0;
  int32_t nextSequence = 0;  // of its sequential children
};

// One change of a committed transaction. `node` is nothing for a removal.
struct TreeChange {
  std::string path;
  std::optional<Znode> node;
  bool created = false;
};

// What one transaction changes, under one zxid; applied by every server in order.
struct Transaction {
  int64_t zxid = 0;
  std::vector<TreeChange> changes;
};

class SimTree {
 public:
  SimTree();

  const Znode* find(const std::string& path) const;
  // Names, sorted.
  std::vector<std::string> childrenOf(const std::string& path) const;
  std::vector<std::string> ephemeralsOf(int64_t session) const;
  const std::map<std::string, Znode>& nodes() const { return nodes_; }

  void apply(const Transaction& transaction);

  // All or none, as the leader does it: on success the tree is changed and `changes` says how.
  failover::MultiResult execute(const std::vector<failover::Op>& ops, int64_t session, int64_t zxid,
                                std::vector<TreeChange>& changes);

 private:
  struct Undo {
    std::string path;
    std::optional<Znode> before;
  };
  failover::OpResult executeOne(const failover::Op& op, int64_t session, int64_t zxid,
                                std::vector<TreeChange>& changes, std::vector<Undo>& undo);
  failover::OpResult create(const failover::Op& op, int64_t session, int64_t zxid,
                            std::vector<TreeChange>& changes, std::vector<Undo>& undo);
  void put(const std::string& path, Znode node, std::vector<Undo>& undo);
  bool hasChildren(const std::string& path) const;

  std::map<std::string, Znode> nodes_;  // "/" is the root
};

}  // namespace muster::sim
