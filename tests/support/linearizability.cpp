#include "tests/support/linearizability.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

namespace muster::testing {
namespace {

// ---- the search

uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

// A set of operations as the exclusive or of their numbers' hashes: 128 bits, so that two
// configurations of a history are never taken for one.
struct SetHash {
  uint64_t low = 0;
  uint64_t high = 0;
  void flip(size_t operation) {
    low ^= mix(2 * operation);
    high ^= mix(2 * operation + 1);
  }
  bool operator==(const SetHash&) const = default;
};

struct Configuration {
  SetHash done;
  std::string state;
  bool operator==(const Configuration&) const = default;
};

struct ConfigurationHash {
  size_t operator()(const Configuration& c) const {
    return c.done.low ^ mix(std::hash<std::string>{}(c.state));
  }
};

// The calls and returns of one key in order of time, as a list that operations leave when they are
// given a place and come back to when it is taken away.
class Events {
 public:
  static constexpr size_t NONE = 0;  // also the head

  explicit Events(const std::vector<const Operation*>& operations) : nodes_(1) {
    std::vector<Node> sorted;
    for (size_t i = 0; i < operations.size(); i++) {
      sorted.push_back({operations[i]->invokedNs, false, i});
      if (operations[i]->returnedNs) sorted.push_back({*operations[i]->returnedNs, true, i});
    }
    // At one instant calls come before returns: the two operations overlap.
    std::stable_sort(sorted.begin(), sorted.end(), [](const Node& a, const Node& b) {
      return a.time != b.time ? a.time < b.time : a.isReturn < b.isReturn;
    });
    nodes_.insert(nodes_.end(), sorted.begin(), sorted.end());
    returnOf_.resize(operations.size(), NONE);
    for (size_t i = 0; i < nodes_.size(); i++) {
      nodes_[i].previous = i == 0 ? nodes_.size() - 1 : i - 1;
      nodes_[i].next = i + 1 == nodes_.size() ? NONE : i + 1;
      if (nodes_[i].isReturn) returnOf_[nodes_[i].operation] = i;
    }
  }

  size_t first() const { return nodes_[NONE].next; }
  size_t next(size_t event) const { return nodes_[event].next; }
  bool isReturn(size_t event) const { return nodes_[event].isReturn; }
  size_t operation(size_t event) const { return nodes_[event].operation; }

  void remove(size_t call) {
    unlink(call);
    if (size_t back = returnOf_[operation(call)]; back != NONE) unlink(back);
  }
  void restore(size_t call) {
    if (size_t back = returnOf_[operation(call)]; back != NONE) link(back);
    link(call);
  }

 private:
  struct Node {
    int64_t time = 0;
    bool isReturn = false;
    size_t operation = 0;
    size_t previous = NONE;
    size_t next = NONE;
  };

  void unlink(size_t i) {
    nodes_[nodes_[i].previous].next = nodes_[i].next;
    nodes_[nodes_[i].next].previous = nodes_[i].previous;
  }
  void link(size_t i) { nodes_[nodes_[i].previous].next = nodes_[nodes_[i].next].previous = i; }

  std::vector<Node> nodes_;
  std::vector<size_t> returnOf_;
};

struct KeySearch {
  struct Placed {
    size_t call;
    std::string stateBefore;
  };

  KeySearch(const std::vector<const Operation*>& operations, const SequentialModel& model)
      : operations(operations), model(model), events(operations) {
    unanswered = static_cast<size_t>(std::count_if(
        operations.begin(), operations.end(), [](auto* o) { return o->returnedNs.has_value(); }));
  }

  Linearizability run(uint64_t configurationsMax);
  bool place(size_t call);
  bool takeBack(size_t& event);
  void noteStuck(size_t event);

  const std::vector<const Operation*>& operations;
  const SequentialModel& model;
  Events events;
  size_t unanswered;  // operations with an answer that have no place yet
  std::string state;
  SetHash done;
  std::vector<Placed> order;
  std::unordered_set<Configuration, ConfigurationHash> seen;
  size_t longest = 0;
  std::string stuck;  // what had no place after the longest order
};

// Gives the operation the next place in the order, unless that is impossible or was tried before.
bool KeySearch::place(size_t call) {
  size_t number = events.operation(call);
  std::optional<std::string> after = model.step(state, *operations[number]);
  if (!after) return false;
  SetHash with = done;
  with.flip(number);
  if (!seen.insert({with, *after}).second) return false;
  order.push_back({call, std::exchange(state, *std::move(after))});
  done = with;
  events.remove(call);
  if (operations[number]->returnedNs) unanswered--;
  return true;
}

// Takes the last place away; `event` becomes what comes after that operation's call.
bool KeySearch::takeBack(size_t& event) {
  if (order.empty()) return false;
  Placed last = std::move(order.back());
  order.pop_back();
  size_t number = events.operation(last.call);
  events.restore(last.call);
  done.flip(number);
  state = std::move(last.stateBefore);
  if (operations[number]->returnedNs) unanswered++;
  event = events.next(last.call);
  return true;
}

void KeySearch::noteStuck(size_t event) {
  if (event == Events::NONE || (order.size() < longest && !stuck.empty())) return;
  longest = order.size();
  stuck = toText(*operations[events.operation(event)]) + "\n  after " +
          std::to_string(order.size()) + " operations, in state \"" + state + "\"";
}

// A return in the way means: its operation had to have a place by now.
Linearizability KeySearch::run(uint64_t configurationsMax) {
  size_t event = events.first();
  while (unanswered > 0) {
    if (seen.size() > configurationsMax) return Linearizability::UNDECIDED;
    bool blocked = event == Events::NONE || events.isReturn(event);
    if (blocked) {
      noteStuck(event);
      if (!takeBack(event)) return Linearizability::NO;
    } else {
      event = place(event) ? events.first() : events.next(event);
    }
  }
  return Linearizability::YES;
}

// ---- the models

bool answers(const Operation& operation, OperationOutcome outcome) {
  return !operation.returnedNs || operation.outcome == outcome;
}

bool sees(const Operation& operation, const std::string& value) {
  return !operation.returnedNs || operation.value == value;
}

// A register's state: empty when absent, else '=' and the value.
std::optional<std::string> keepIf(bool possible, const std::string& state) {
  return possible ? std::optional(state) : std::nullopt;
}

std::optional<std::string> changeIf(bool possible, std::string after) {
  return possible ? std::optional(std::move(after)) : std::nullopt;
}

struct DeploymentState {
  std::string spec;
  std::string replicas;
  uint64_t revision = 0;  // 0: not there

  explicit DeploymentState(const std::string& text) {
    if (text.empty()) return;
    size_t a = text.find('\n');
    size_t b = text.find('\n', a + 1);
    revision = std::stoull(text.substr(0, a));
    replicas = text.substr(a + 1, b - a - 1);
    spec = text.substr(b + 1);
  }
  bool exists() const { return revision > 0; }
  std::string text() const { return std::to_string(revision) + "\n" + replicas + "\n" + spec; }
  std::string seen() const { return spec + " x " + replicas; }
};

bool tells(const Operation& operation, uint64_t revision) {
  return !operation.returnedNs || operation.revision == revision;
}

std::optional<std::string> changeDeployment(DeploymentState state, const Operation& operation) {
  if (operation.kind == OperationKind::APPLY) {
    size_t end = operation.argument.rfind(" x ");
    state.spec = operation.argument.substr(0, end);
    if (end != std::string::npos) {
      state.replicas = operation.argument.substr(end + 3);
    } else if (!state.exists()) {
      state.replicas = "1";
    }
  } else {
    state.replicas = operation.argument;
  }
  state.revision++;
  return changeIf(answers(operation, OperationOutcome::OK) && tells(operation, state.revision),
                  state.text());
}

}  // namespace

std::optional<std::string> RegisterModel::step(const std::string& state,
                                               const Operation& operation) const {
  bool there = !state.empty();
  OperationOutcome found = there ? OperationOutcome::OK : OperationOutcome::NOT_FOUND;
  switch (operation.kind) {
    case OperationKind::READ:
      return keepIf(answers(operation, found) && sees(operation, there ? state.substr(1) : ""),
                    state);
    case OperationKind::WRITE:
      return changeIf(answers(operation, OperationOutcome::OK), "=" + operation.argument);
    case OperationKind::DELETE:
      return changeIf(answers(operation, found), "");
    case OperationKind::COMPARE_AND_SET: {
      if (!there) return keepIf(answers(operation, OperationOutcome::NOT_FOUND), state);
      if (state.substr(1) != operation.expected.value_or(""))
        return keepIf(answers(operation, OperationOutcome::CONFLICT), state);
      return changeIf(answers(operation, OperationOutcome::OK), "=" + operation.argument);
    }
    default:
      return std::nullopt;
  }
}

std::optional<std::string> DeploymentModel::step(const std::string& text,
                                                 const Operation& operation) const {
  DeploymentState state(text);
  if (!state.exists() && operation.kind != OperationKind::APPLY)
    return keepIf(answers(operation, OperationOutcome::NOT_FOUND), text);
  if (operation.kind == OperationKind::READ)
    return keepIf(answers(operation, OperationOutcome::OK) && sees(operation, state.seen()) &&
                      tells(operation, state.revision),
                  text);
  // Also of one that is not there: an APPLY may expect revision 0 only.
  if (operation.expected && *operation.expected != std::to_string(state.revision))
    return keepIf(answers(operation, OperationOutcome::CONFLICT), text);
  switch (operation.kind) {
    case OperationKind::APPLY:
    case OperationKind::SCALE:
      return changeDeployment(std::move(state), operation);
    case OperationKind::DELETE:
      return changeIf(answers(operation, OperationOutcome::OK), "");
    default:
      return std::nullopt;
  }
}

LinearizabilityVerdict checkLinearizable(const History& history, const SequentialModel& model,
                                         uint64_t configurationsMax) {
  std::map<std::string, std::vector<const Operation*>> keys;
  for (const Operation& operation : history) {
    bool saysNothing = operation.kind == OperationKind::READ && !operation.returnedNs;
    if (!saysNothing) keys[operation.key].push_back(&operation);
  }
  LinearizabilityVerdict verdict;
  for (const auto& [key, operations] : keys) {
    KeySearch search(operations, model);
    Linearizability answer = search.run(configurationsMax);
    verdict.configurations += search.seen.size();
    if (answer == Linearizability::NO || verdict.answer == Linearizability::YES)
      verdict.answer = answer;
    if (answer == Linearizability::NO) {
      verdict.text = "key \"" + key + "\" is not linearizable: no place for\n  " + search.stuck;
      return verdict;
    }
  }
  return verdict;
}

}  // namespace muster::testing
