#include "worker/engine/native/rank_operation.h"

#include <algorithm>
#include <iterator>

namespace muster::worker {
namespace {

enum class Place : uint8_t { OUTSIDE, IN_STEP };

struct KnownOperation {
  RankOperation what;
  const char* text;  // # stands for the file or the number
  Blame blame;
  Place place = Place::OUTSIDE;
};

const KnownOperation* findOperation(RankOperation what) {
  using enum RankOperation;
  static constexpr KnownOperation KNOWN_OPERATIONS[] = {
      {START, "start of its process", Blame::NOBODY},
      {OPEN_FILE, "opening of #", Blame::SELF},
      {LOAD_FILE, "load of #", Blame::SELF},
      {READ_TEXT, "reading of the tokenizer", Blame::SELF},
      {JOIN, "joining of its group", Blame::NOBODY},
      {SERVE, "wait for requests", Blame::NOBODY},
      {OPEN_DEVICE, "opening of its device", Blame::SELF},
      {PLACE_WEIGHTS, "placing of tensor # on its device", Blame::SELF},
      {MEET, "meeting of the group's communicators", Blame::PEER},
      {AWAIT_STEP, "wait for the next step", Blame::PEER},
      {TELL_ALIVE, "sign of life to the other ranks", Blame::PEER},
      {TELL_STEP, "broadcast of what to compute", Blame::PEER, Place::IN_STEP},
      {PREPARE, "layout of its batch", Blame::SELF, Place::IN_STEP},
      {EMBED, "embedding", Blame::SELF, Place::IN_STEP},
      {SUM_EMBEDDING, "all-reduce of the embedding", Blame::PEER, Place::IN_STEP},
      {RECEIVE_ACTIVATIONS, "receive of activations from stage #", Blame::PEER, Place::IN_STEP},
      {ATTENTION, "attention of layer #", Blame::SELF, Place::IN_STEP},
      {SUM_ATTENTION, "all-reduce of layer #'s attention output", Blame::PEER, Place::IN_STEP},
      {FEED_FORWARD, "feed-forward of layer #", Blame::SELF, Place::IN_STEP},
      {SUM_FEED_FORWARD, "all-reduce of layer #'s feed-forward output", Blame::PEER,
       Place::IN_STEP},
      {SEND_ACTIVATIONS, "send of activations to stage #", Blame::PEER, Place::IN_STEP},
      {LOGITS, "logits", Blame::SELF, Place::IN_STEP},
      {GATHER_LOGITS, "all-gather of the logits", Blame::PEER, Place::IN_STEP},
      {SEND_LOGITS, "send of the logits to rank 0", Blame::PEER, Place::IN_STEP},
      {RECEIVE_LOGITS, "receive of the logits from stage #", Blame::PEER, Place::IN_STEP},
  };
  const auto* found =
      std::find_if(std::begin(KNOWN_OPERATIONS), std::end(KNOWN_OPERATIONS),
                   [what](const KnownOperation& known) { return known.what == what; });
  return found == std::end(KNOWN_OPERATIONS) ? nullptr : found;
}

std::string subjectOf(const LastOperation& last) {
  bool isFile = last.what == RankOperation::OPEN_FILE || last.what == RankOperation::LOAD_FILE;
  if (!isFile) return std::to_string(last.detail);
  return last.file.empty() ? "the weights" : last.file;
}

}  // namespace

Blame blameFor(RankOperation what) {
  const auto* known = findOperation(what);
  return known == nullptr ? Blame::NOBODY : known->blame;
}

bool isPartOfStep(RankOperation what) {
  const auto* known = findOperation(what);
  return known != nullptr && known->place == Place::IN_STEP;
}

std::string toText(const LastOperation& last) {
  const auto* known = findOperation(last.what);
  if (known == nullptr) {
    return "operation " + std::to_string(static_cast<uint32_t>(last.what)) +
           " of a rank of another version";
  }
  std::string text = known->text;
  auto hole = text.find('#');
  if (hole != std::string::npos) text.replace(hole, 1, subjectOf(last));
  if (last.step == 0) return text;
  return text + " in step " + std::to_string(last.step) + ", " + std::to_string(last.sequences) +
         (last.sequences == 1 ? " sequence" : " sequences");
}

}  // namespace muster::worker
