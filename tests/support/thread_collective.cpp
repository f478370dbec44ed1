#include "tests/support/thread_collective.h"

#include <kj/debug.h>

#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

namespace muster::testing {
namespace {

using worker::CollectiveBroken;

// Where the members of one communicator meet. An operation has two rounds: all bring their bytes,
// then all have read what they need, and the board is free again.
class Board {
 public:
  explicit Board(uint32_t size) : given_(size), messages_(size) {}
  uint32_t size() const { return static_cast<uint32_t>(given_.size()); }

  using Given = std::vector<std::span<const std::byte>>;
  // Brings `mine`, and calls `read` with everybody's bytes before anybody may go on.
  void meet(uint32_t rank, std::span<const std::byte> mine,
            const std::function<void(const Given&)>& read) {
    std::unique_lock lock(mutex_);
    given_[rank] = mine;
    arrive(lock);
    read(given_);
    arrive(lock);
  }

  void send(uint32_t from, uint32_t to, std::span<const std::byte> bytes) {
    std::lock_guard lock(mutex_);
    messages_[to].push_back({from, {bytes.begin(), bytes.end()}});
    changed_.notify_all();
  }

  void receive(uint32_t from, uint32_t to, std::span<std::byte> bytes) {
    std::unique_lock lock(mutex_);
    auto& inbox = messages_[to];
    for (;;) {
      throwIfBroken();
      auto found = std::find_if(inbox.begin(), inbox.end(),
                                [&](const Message& message) { return message.from == from; });
      if (found != inbox.end()) {
        KJ_REQUIRE(found->bytes.size() == bytes.size(), "the other side names another size",
                   found->bytes.size(), bytes.size());
        std::memcpy(bytes.data(), found->bytes.data(), bytes.size());
        inbox.erase(found);
        return;
      }
      changed_.wait(lock);
    }
  }

  void abort(std::string why) {
    std::lock_guard lock(mutex_);
    if (broken_.empty()) broken_ = std::move(why);
    changed_.notify_all();
  }

 private:
  struct Message {
    uint32_t from;
    std::vector<std::byte> bytes;
  };

  void throwIfBroken() const {
    if (!broken_.empty()) throw CollectiveBroken(broken_);
  }

  void arrive(std::unique_lock<std::mutex>& lock) {
    throwIfBroken();
    uint64_t round = round_;
    if (++arrived_ == size()) {
      arrived_ = 0;
      ++round_;
      changed_.notify_all();
    }
    while (round_ == round) {
      throwIfBroken();
      changed_.wait(lock);
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Given given_;
  uint32_t arrived_ = 0;
  uint64_t round_ = 0;
  std::vector<std::vector<Message>> messages_;  // by receiver
  std::string broken_;
};

class ThreadCollective final : public worker::Collective {
 public:
  ThreadCollective(std::shared_ptr<Board> board, uint32_t rank)
      : board_(std::move(board)), rank_(rank) {}

  uint32_t rank() const override { return rank_; }
  uint32_t size() const override { return board_->size(); }

  void allReduceSum(std::span<float> values) override {
    std::vector<float> sum(values.size(), 0.0f);
    board_->meet(rank_, std::as_bytes(values), [&](const Board::Given& given) {
      for (const auto& bytes : given) {
        KJ_REQUIRE(bytes.size() == values.size_bytes());
        const auto* term = reinterpret_cast<const float*>(bytes.data());
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += term[i];
      }
    });
    std::copy(sum.begin(), sum.end(), values.begin());
  }

  void allGather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    KJ_REQUIRE(all.size() == mine.size() * size());
    board_->meet(rank_, mine, [&](const Board::Given& given) {
      std::byte* to = all.data();
      for (const auto& bytes : given) {
        KJ_REQUIRE(bytes.size() == mine.size());
        to = std::copy(bytes.begin(), bytes.end(), to);
      }
    });
  }

  void broadcast(std::span<std::byte> bytes, uint32_t root) override {
    board_->meet(rank_, bytes, [&](const Board::Given& given) {
      KJ_REQUIRE(given[root].size() == bytes.size());
      if (root != rank_) std::memcpy(bytes.data(), given[root].data(), bytes.size());
    });
  }

  void send(std::span<const std::byte> bytes, uint32_t to) override {
    board_->send(rank_, to, bytes);
  }
  void receive(std::span<std::byte> bytes, uint32_t from) override {
    board_->receive(from, rank_, bytes);
  }
  void abort(std::string why) override { board_->abort(std::move(why)); }

 private:
  std::shared_ptr<Board> board_;
  uint32_t rank_;
};

}  // namespace

std::vector<kj::Own<worker::Collective>> makeThreadCollectives(uint32_t size) {
  auto board = std::make_shared<Board>(size);
  std::vector<kj::Own<worker::Collective>> ends;
  for (uint32_t rank = 0; rank < size; ++rank) {
    ends.push_back(kj::heap<ThreadCollective>(board, rank));
  }
  return ends;
}

ThreadGroup::ThreadGroup(uint32_t tensor, uint32_t pipeline)
    : tensorSize_(tensor), worlds_(makeThreadCollectives(tensor * pipeline)) {
  for (uint32_t i = 0; i < pipeline; ++i) tensors_.push_back(makeThreadCollectives(tensor));
  for (uint32_t i = 0; i < tensor; ++i) pipelines_.push_back(makeThreadCollectives(pipeline));
}

void ThreadGroup::abort(const std::string& why) {
  for (uint32_t rank = 0; rank < size(); ++rank) {
    world(rank).abort(why);
    tensor(rank).abort(why);
    pipeline(rank).abort(why);
  }
}

void ThreadGroup::run(const std::function<void(uint32_t rank)>& body) {
  std::mutex mutex;
  std::exception_ptr first;
  std::vector<std::thread> threads;
  for (uint32_t rank = 0; rank < size(); ++rank) {
    threads.emplace_back([&, rank] {
      try {
        body(rank);
      } catch (...) {
        {
          std::lock_guard lock(mutex);
          if (!first) first = std::current_exception();
        }
        abort("rank " + std::to_string(rank) + " threw");
      }
    });
  }
  for (auto& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
}

}  // namespace muster::testing
