#include "worker/engine/native/serving/engine_loop.h"

#include <kj/debug.h>

#include <chrono>
#include <span>
#include <utility>

namespace muster::worker {
namespace {

const Refusal STOPPED{RefusalCode::RANK_CRASHED, "the engine stopped"};

Refusal brokenRefusal(const std::string& why) { return {RefusalCode::RANK_CRASHED, why}; }

uint32_t tokensOf(const Step& step) {
  size_t tokens = 0;
  for (const auto& sequence : step.sequences) tokens += sequence.tokens.size();
  return static_cast<uint32_t>(tokens);
}

}  // namespace

class EngineLoop::Handle final : public Generation {
 public:
  Handle(EngineLoop& loop, Ticket ticket, std::shared_ptr<PieceQueue> pieces)
      : loop_(loop), ticket_(ticket), pieces_(std::move(pieces)) {}
  ~Handle() noexcept(false) override {
    if (!ended_) loop_.cancel(ticket_);
  }
  KJ_DISALLOW_COPY(Handle);

  kj::Promise<GenerationPiece> next() override {
    return pieces_->take().then([this](GenerationPiece piece) {
      ended_ = piece.isLast();
      return piece;
    });
  }

 private:
  EngineLoop& loop_;
  Ticket ticket_;
  std::shared_ptr<PieceQueue> pieces_;
  bool ended_ = false;
};

EngineLoop::EngineLoop(StepExecutor& executor, std::shared_ptr<const Tokenizer> tokenizer,
                       SchedulerLimits limits, const Clock& clock)
    : executor_(executor),
      tokenizer_(std::move(tokenizer)),
      limits_(limits),
      clock_(clock),
      broken_(kj::newPromiseAndCrossThreadFulfiller<std::string>()),
      scheduler_(executor.cache(), executor.positions(), limits),
      thread_([this] { run(); }) {}

EngineLoop::~EngineLoop() noexcept(false) {
  std::lock_guard lock(mutex_);
  inbox_.stop = true;
  arrived_.notify_one();
}

Result<kj::Own<Generation>> EngineLoop::submit(GenerationTask task) {
  if (task.prompt.size() + task.tokensMax > longest()) {
    return Refusal{RefusalCode::TOO_LARGE, "the prompt has " + std::to_string(task.prompt.size()) +
                                               " tokens and " + std::to_string(task.tokensMax) +
                                               " are asked for; together at most " +
                                               std::to_string(longest()) + " fit"};
  }
  auto pieces = std::make_shared<PieceQueue>();
  std::lock_guard lock(mutex_);
  if (!status_.broken.empty()) return brokenRefusal(status_.broken);
  size_t waiting = status_.waiting + inbox_.submitted.size();
  if (waiting >= limits_.waiting) {
    return Refusal{RefusalCode::OVERLOADED,
                   std::to_string(waiting) + " requests are waiting already"};
  }
  Ticket ticket = ++lastTicket_;
  inbox_.submitted.push_back({ticket, std::move(task), pieces});
  arrived_.notify_one();
  return kj::Own<Generation>(kj::heap<Handle>(*this, ticket, std::move(pieces)));
}

void EngineLoop::cancel(Ticket ticket) {
  std::lock_guard lock(mutex_);
  inbox_.cancelled.push_back(ticket);
  arrived_.notify_one();
}

EngineStatus EngineLoop::status() const {
  std::lock_guard lock(mutex_);
  EngineStatus status = status_;
  status.waiting += static_cast<uint32_t>(inbox_.submitted.size());
  return status;
}

void EngineLoop::run() {
  for (;;) {
    Inbox inbox = takeInbox();
    bool stop = inbox.stop;
    handle(std::move(inbox));
    if (stop) return failAll(STOPPED);
    computeStep();
  }
}

// Waits only when there is nothing to compute, and tells the group meanwhile that it lives.
EngineLoop::Inbox EngineLoop::takeInbox() {
  std::unique_lock lock(mutex_);
  while (active_.empty() && inbox_.empty()) {
    auto patience = std::chrono::nanoseconds((KEEP_ALIVE / 2).nanos);
    if (arrived_.wait_for(lock, patience, [this] { return !inbox_.empty(); })) break;
    if (!status_.broken.empty()) continue;
    lock.unlock();
    attempt("idle", [this] { executor_.keepAlive(); });
    lock.lock();
  }
  return std::exchange(inbox_, {});
}

void EngineLoop::handle(Inbox inbox) {
  for (auto& submitted : inbox.submitted) admit(std::move(submitted));
  for (Ticket ticket : inbox.cancelled) {
    auto found = numbers_.find(ticket);  // absent when it had ended already
    if (found != numbers_.end()) end(found->second);
  }
  publish(std::nullopt);
}

void EngineLoop::admit(Submitted submitted) {
  auto number = scheduler_.add(submitted.task.prompt, submitted.task.tokensMax);
  if (!number) {
    submitted.pieces->push({.failure = number.refusal()});
    return;
  }
  numbers_[submitted.ticket] = *number;
  active_.emplace(*number, Active{.ticket = submitted.ticket,
                                  .writer = AnswerWriter(std::move(submitted.task), tokenizer_),
                                  .pieces = std::move(submitted.pieces)});
}

void EngineLoop::computeStep() {
  auto planned = scheduler_.next();
  if (!planned) return;
  publish(RunningStep{.number = planned->step.number,
                      .since = clock_.steadyNow(),
                      .sequences = static_cast<uint32_t>(planned->step.sequences.size()),
                      .tokens = tokensOf(planned->step)});
  attempt("step " + std::to_string(planned->step.number),
          [&] { deliver(*planned, executor_.execute(planned->step)); });
  publish(std::nullopt);
}

// After a failure nothing more is computed.
void EngineLoop::attempt(const std::string& what, kj::FunctionParam<void()> work) {
  std::string why;
  auto failed = kj::runCatchingExceptions([&] {
    try {
      work();
    } catch (const CollectiveBroken& broken) {
      why = broken.what();
    }
  });
  KJ_IF_MAYBE (exception, failed) {
    why = exception->getDescription().cStr();
  }
  if (!why.empty()) breakDown(what + ": " + why);
}

void EngineLoop::breakDown(std::string why) {
  {
    std::lock_guard lock(mutex_);
    status_.broken = why;
  }
  failAll(brokenRefusal(why));
  broken_.fulfiller->fulfill(kj::mv(why));
}

void EngineLoop::deliver(const PlannedStep& planned, const StepResult& result) {
  size_t vocabulary = executor_.vocabulary();
  KJ_REQUIRE(result.logits.size() == planned.rows.size() * vocabulary, result.logits.size(),
             planned.rows.size(), vocabulary);
  for (size_t row = 0; row < planned.rows.size(); ++row) {
    SequenceNumber number = planned.rows[row];
    Active& active = active_.at(number);
    const GenerationTask& task = active.writer.task();
    std::span<const float> logits(result.logits.data() + row * vocabulary, vocabulary);
    uint64_t position = task.prompt.size() + active.writer.produced();
    auto choice = chooseToken(logits, task.sampling, position, task.likeliest);
    if (!choice) {
      active.pieces->push(
          {.failure = Refusal{RefusalCode::INTERNAL, "the model gave no number for any token"}});
      end(number);
      continue;
    }
    TokenId token = choice->chosen.token;
    GenerationPiece piece = active.writer.add(std::move(*choice));
    bool last = piece.isLast();
    active.pieces->push(std::move(piece));
    if (last) {
      end(number);
    } else {
      scheduler_.append(number, token);
    }
  }
}

void EngineLoop::end(SequenceNumber number) {
  scheduler_.remove(number);
  auto found = active_.find(number);
  numbers_.erase(found->second.ticket);
  active_.erase(found);
}

void EngineLoop::failAll(const Refusal& refusal) {
  Inbox inbox;
  {
    std::lock_guard lock(mutex_);
    inbox.submitted = std::exchange(inbox_.submitted, {});
  }
  for (auto& submitted : inbox.submitted) submitted.pieces->push({.failure = refusal});
  while (!active_.empty()) {
    active_.begin()->second.pieces->push({.failure = refusal});
    end(active_.begin()->first);
  }
  publish(std::nullopt);
}

void EngineLoop::publish(std::optional<RunningStep> step) {
  std::lock_guard lock(mutex_);
  status_.running = scheduler_.running();
  status_.waiting = scheduler_.waiting();
  status_.blocksUsed = scheduler_.blocksUsed();
  status_.blocksTotal = scheduler_.blocksTotal();
  status_.preemptions = scheduler_.preemptions();
  if (step) ++status_.steps;
  status_.step = step;
}

}  // namespace muster::worker
