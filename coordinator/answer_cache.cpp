#include "coordinator/answer_cache.h"

namespace muster::coordinator {

bool AnswerCache::isCurrent(const Origin& kept, const Origin& now) {
  bool sameState =
      kept.history == now.history && kept.epoch == now.epoch && kept.index == now.index;
  return sameState && kept.time <= now.time && now.time - kept.time < OBSERVED_FOR;
}

Result<std::string> AnswerCache::get(const std::string& question, const Origin& origin,
                                     const std::function<Result<std::string>()>& make) {
  auto found = entries_.find(question);
  if (found != entries_.end() && isCurrent(found->second.origin, origin)) {
    return found->second.text;
  }
  auto text = make();
  if (!text || text->size() > TEXT_BYTES_MAX) return text;
  bool isFull = found == entries_.end() && entries_.size() >= TEXTS_MAX;
  if (isFull) entries_.clear();  // rather than to know which of them nobody wants any more
  entries_.insert_or_assign(question, Entry{origin, *text});
  return text;
}

}  // namespace muster::coordinator
