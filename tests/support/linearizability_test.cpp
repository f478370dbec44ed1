#include "tests/support/linearizability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/exception.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <random>

namespace muster::testing::linearizability_test {
namespace {

using enum OperationKind;
using enum OperationOutcome;

// ---- small histories, written out

Operation asked(int64_t from, int64_t to, OperationKind kind, std::string argument = "") {
  Operation operation;
  operation.kind = kind;
  operation.key = "k";
  operation.argument = std::move(argument);
  operation.invokedNs = from;
  operation.returnedNs = to;
  return operation;
}

Operation unknown(int64_t from, OperationKind kind, std::string argument = "") {
  Operation operation = asked(from, 0, kind, std::move(argument));
  operation.returnedNs.reset();
  return operation;
}

Operation write(int64_t from, int64_t to, std::string value) {
  return asked(from, to, WRITE, std::move(value));
}

Operation read(int64_t from, int64_t to, std::string value, uint64_t revision = 0) {
  Operation operation = asked(from, to, READ);
  operation.outcome = value.empty() ? NOT_FOUND : OK;
  operation.value = std::move(value);
  operation.revision = revision;
  return operation;
}

Operation swap(int64_t from, int64_t to, std::string expected, std::string value,
               OperationOutcome outcome = OK) {
  Operation operation = asked(from, to, COMPARE_AND_SET, std::move(value));
  operation.expected = std::move(expected);
  operation.outcome = outcome;
  return operation;
}

Operation change(int64_t from, int64_t to, OperationKind kind, std::string argument,
                 uint64_t revision) {
  Operation operation = asked(from, to, kind, std::move(argument));
  operation.revision = revision;
  return operation;
}

struct Case {
  const char* name;
  History history;
  Linearizability wanted;
};

constexpr auto YES = Linearizability::YES;
constexpr auto NO = Linearizability::NO;

const std::vector<Case>& registerCases() {
  static const std::vector<Case> CASES = {
      {"one after the other", {write(0, 1, "a"), read(2, 3, "a")}, YES},
      {"a read beside a write sees either",
       {write(0, 9, "a"), read(1, 2, ""), read(3, 4, "a")},
       YES},
      {"reads beside a write go back", {write(0, 9, "a"), read(1, 2, "a"), read(3, 4, "")}, NO},
      {"stale read", {write(0, 1, "a"), write(2, 3, "b"), read(4, 5, "a")}, NO},
      {"acknowledged write lost", {write(0, 1, "a"), read(2, 3, "")}, NO},
      {"read of what nobody wrote", {write(0, 1, "a"), read(2, 3, "z")}, NO},
      {"lost update", {write(0, 1, "0"), swap(2, 5, "0", "1"), swap(3, 6, "0", "2")}, NO},
      {"one of two swaps is refused",
       {write(0, 1, "0"), swap(2, 5, "0", "1"), swap(3, 6, "0", "2", CONFLICT), read(7, 8, "1")},
       YES},
      {"refused although it matched", {write(0, 1, "0"), swap(2, 3, "0", "1", CONFLICT)}, NO},
      {"unknown write happened later",
       {unknown(0, WRITE, "a"), read(1, 2, ""), read(3, 4, "a")},
       YES},
      {"unknown write never happened",
       {unknown(0, WRITE, "a"), read(1, 2, ""), read(3, 4, "")},
       YES},
      {"unknown write happened twice",
       {unknown(0, WRITE, "a"), read(1, 2, "a"), write(3, 4, "b"), read(5, 6, "b"),
        read(7, 8, "a")},
       NO},
      {"unknown write before it was asked", {read(0, 1, "a"), unknown(2, WRITE, "a")}, NO},
      {"deleted value comes back",
       {write(0, 1, "a"), asked(2, 3, DELETE), read(4, 5, ""), read(6, 7, "a")},
       NO},
  };
  return CASES;
}

const std::vector<Case>& deploymentCases() {
  static const std::vector<Case> CASES = {
      {"apply, scale, read",
       {change(0, 1, APPLY, "s", 1), change(2, 3, SCALE, "4", 2), read(4, 5, "s x 4", 2)},
       YES},
      {"apply brings its number of replicas",
       {change(0, 1, APPLY, "s x 0", 1), change(2, 3, APPLY, "t x 3", 2), read(4, 5, "t x 3", 2)},
       YES},
      {"number of replicas lost",
       {change(0, 1, APPLY, "s x 0", 1), change(2, 3, APPLY, "t x 3", 2), read(4, 5, "t x 0", 2)},
       NO},
      {"two at once in either order",
       {change(0, 1, APPLY, "s", 1), change(2, 9, SCALE, "4", 3), change(3, 8, APPLY, "t", 2),
        read(10, 11, "t x 4", 3)},
       YES},
      {"double apply of one request", {change(0, 1, APPLY, "s", 1), read(2, 3, "s x 1", 2)}, NO},
      {"revision given twice",
       {change(0, 1, APPLY, "s", 1), change(2, 5, SCALE, "4", 2), change(3, 6, SCALE, "5", 2)},
       NO},
      {"revision goes back",
       {change(0, 1, APPLY, "s", 1), change(2, 3, SCALE, "4", 2), read(4, 5, "s x 1", 1)},
       NO},
      {"scale lost",
       {change(0, 1, APPLY, "s", 1), change(2, 3, SCALE, "4", 2), read(4, 5, "s x 1", 2)},
       NO},
      {"resurrected deployment",
       {change(0, 1, APPLY, "s", 1), asked(2, 3, DELETE), read(4, 5, "s x 1", 1)},
       NO},
      {"deleted and applied anew",
       {change(0, 1, APPLY, "s", 1), asked(2, 3, DELETE), read(4, 5, ""),
        change(6, 7, APPLY, "s", 1)},
       YES},
      {"unknown scale explains the revision",
       {change(0, 1, APPLY, "s", 1), unknown(2, SCALE, "4"), change(3, 4, APPLY, "t", 3)},
       YES},
      {"unknown scale took effect twice",
       {change(0, 1, APPLY, "s", 1), unknown(2, SCALE, "4"), change(3, 4, APPLY, "t", 4)},
       NO},
  };
  return CASES;
}

void expectAll(const std::vector<Case>& cases, const SequentialModel& model) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    LinearizabilityVerdict verdict = checkLinearizable(c.history, model);
    EXPECT_EQ(verdict.answer, c.wanted) << verdict.text;
    EXPECT_EQ(verdict.text.empty(), c.wanted == YES);
  }
}

TEST(Linearizability, judgesRegisters) { expectAll(registerCases(), RegisterModel{}); }
TEST(Linearizability, judgesDeployments) { expectAll(deploymentCases(), DeploymentModel{}); }

TEST(Linearizability, namesTheOperationWithoutAPlace) {
  History history = {write(0, 1, "a"), read(2, 3, "a"), read(4, 5, "b")};
  LinearizabilityVerdict verdict = checkLinearizable(history, RegisterModel{});
  EXPECT_THAT(verdict.text, ::testing::HasSubstr(toText(history[2])));
  EXPECT_THAT(verdict.text, ::testing::HasSubstr("after 2 operations"));
}

TEST(Linearizability, saysWhenItGaveUp) {
  History history;
  for (int i = 0; i < 20; i++) history.push_back(write(0, 100, std::to_string(i)));
  history.push_back(read(200, 201, "never"));
  EXPECT_EQ(checkLinearizable(history, RegisterModel{}, 1000).answer, Linearizability::UNDECIDED);
}

// ---- histories made from an execution that had an order

class Execution {
 public:
  Execution(uint64_t seed, size_t operations, size_t clients, size_t keys) : random_(seed) {
    std::vector<int64_t> free(clients);
    for (size_t i = 0; i < operations; i++) {
      size_t client = random_() % clients;
      int64_t invoked = free[client] + 1 + below(10);
      int64_t point = invoked + below(20);
      int64_t returned = free[client] = point + 1 + below(20);
      Operation operation = asked(invoked, returned, kind());
      operation.client = client;
      operation.key = "k" + std::to_string(random_() % keys);
      operation.argument = std::to_string(i);
      if (operation.kind == COMPARE_AND_SET) operation.expected = std::to_string(below(i + 1));
      order_.emplace(std::pair(point, i), operation);
    }
    for (auto& [point, operation] : order_) carryOut(operation);
    std::shuffle(history_.begin(), history_.end(), random_);
  }
  const History& history() const { return history_; }

 private:
  int64_t below(size_t end) { return static_cast<int64_t>(random_() % end); }
  OperationKind kind() {
    constexpr OperationKind KINDS[] = {READ, READ, READ, WRITE, WRITE, COMPARE_AND_SET, DELETE};
    return KINDS[random_() % std::size(KINDS)];
  }

  // The machine of these executions; it shares nothing with the models. One operation in a hundred
  // gets no answer, and half of those never happen.
  void carryOut(Operation operation) {
    bool answered = random_() % 100 != 0;
    bool happens = answered || random_() % 2 == 0;
    auto found = values_.find(operation.key);
    bool there = found != values_.end();
    if (operation.kind != WRITE && !there) operation.outcome = NOT_FOUND;
    if (operation.kind == READ && there) operation.value = found->second;
    bool matches = there && found->second == operation.expected.value_or(found->second);
    if (operation.kind == COMPARE_AND_SET && there && !matches) operation.outcome = CONFLICT;
    if (happens && operation.kind == DELETE) values_.erase(operation.key);
    bool sets = operation.kind == WRITE || (operation.kind == COMPARE_AND_SET && matches);
    if (happens && sets) values_[operation.key] = operation.argument;
    if (!answered) operation.returnedNs.reset();
    history_.push_back(operation);
  }

  std::mt19937_64 random_;
  std::map<std::pair<int64_t, size_t>, Operation> order_;
  std::map<std::string, std::string> values_;
  History history_;
};

TEST(Linearizability, acceptsWhatHadAnOrder) {
  for (uint64_t seed = 1; seed <= 300; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Execution execution(seed, 60, 1 + seed % 8, 1 + seed % 3);
    LinearizabilityVerdict verdict = checkLinearizable(execution.history(), RegisterModel{});
    ASSERT_EQ(verdict.answer, YES) << verdict.text;
  }
}

// Each write has a value of its own, so a read of a value that was overwritten before it was asked,
// by a write that was asked after that value's write had returned, is a violation.
TEST(Linearizability, findsAStaleReadAnywhere) {
  int planted = 0;
  for (uint64_t seed = 1; seed <= 300; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history = Execution(seed, 60, 4, 1).history();
    auto answeredWrite = [](const Operation& o) { return o.kind == WRITE && o.returnedNs; };
    std::sort(history.begin(), history.end(),
              [](auto& a, auto& b) { return a.invokedNs < b.invokedNs; });
    auto old = std::find_if(history.begin(), history.end(), answeredWrite);
    if (old == history.end()) continue;
    auto newer = std::find_if(old, history.end(), [&](const Operation& o) {
      return answeredWrite(o) && o.invokedNs > *old->returnedNs;
    });
    if (newer == history.end()) continue;
    auto victim = std::find_if(newer, history.end(), [&](const Operation& o) {
      return o.kind == READ && o.returnedNs && o.invokedNs > *newer->returnedNs;
    });
    if (victim == history.end()) continue;
    victim->outcome = OK;
    victim->value = old->argument;
    planted++;
    ASSERT_EQ(checkLinearizable(history, RegisterModel{}).answer, NO);
  }
  EXPECT_GT(planted, 250);
}

TEST(Linearizability, takesTenThousandOperations) {
  History history = Execution(7, 10'000, 8, 10).history();
  auto start = std::chrono::steady_clock::now();
  LinearizabilityVerdict verdict = checkLinearizable(history, RegisterModel{});
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::cout << "10000 operations: " << verdict.configurations << " configurations in "
            << took.count() << " s\n";
  EXPECT_EQ(verdict.answer, YES) << verdict.text;
}

// ---- text

TEST(History, comesBackFromText) {
  History history = Execution(3, 200, 4, 2).history();
  EXPECT_EQ(historyFromText(toText(history)), history);
}

TEST(History, namesTheLineItDoesNotUnderstand) {
  std::string good = toText(write(0, 1, "a")) + "\n";
  for (const char* bad :
       {"{", "{\"client\": 1}", "{\"client\":1,\"kind\":\"jump\",\"key\":\"k\",\"invoked_ns\":1}",
        "{\"client\":1,\"kind\":\"read\",\"key\":\"k\",\"invoked_ns\":2,\"returned_ns\":1}"}) {
    SCOPED_TRACE(bad);
    try {
      historyFromText(good + "\n" + bad);
      ADD_FAILURE() << "was understood";
    } catch (const kj::Exception& e) {
      EXPECT_THAT(kj::str(e).cStr(), ::testing::HasSubstr("number = 3"));
    }
  }
}

}  // namespace
}  // namespace muster::testing::linearizability_test
