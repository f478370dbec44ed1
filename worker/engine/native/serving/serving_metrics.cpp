#include "worker/engine/native/serving/serving_metrics.h"

#include "base/version.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <utility>

namespace muster::worker {
namespace {

using prometheus::ClientMetric;
using prometheus::Histogram;
using prometheus::MetricFamily;
using Labels = std::map<std::string, std::string>;

const Histogram::BucketBoundaries SECONDS = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                             0.5,   1,      2.5,   5,    10,    30,   60,  300};

double seconds(Duration duration) { return static_cast<double>(duration.nanos) / 1e9; }

class Metrics final : public ServingMetrics {
 public:
  explicit Metrics(const ServingLabels& labels)
      : labels_({{"tenant", labels.tenant},
                 {"deployment", labels.deployment},
                 {"replica", std::to_string(labels.replica)}}),
        requests_(counters("muster_requests_total", "Requests answered, by status")),
        tokens_(counters("muster_tokens_total", "Tokens of prompts and answers")),
        inputTokens_(tokens_.Add({{"kind", "input"}})),
        outputTokens_(tokens_.Add({{"kind", "output"}})),
        firstToken_(histogram("muster_time_to_first_token_seconds",
                              "From the request to the first token of its first answer")),
        interToken_(histogram("muster_inter_token_latency_seconds",
                              "Between a token of an answer and the one before")),
        duration_(
            histogram("muster_request_duration_seconds", "From a request to its last token")) {}

  void onRequest(int status) override {
    requests_.Add({{"code", std::to_string(status)}}).Increment();
  }
  void onPrompt(uint64_t tokens) override { inputTokens_.Increment(static_cast<double>(tokens)); }
  void onFirstToken(Duration sinceRequest) override {
    outputTokens_.Increment();
    firstToken_.Observe(seconds(sinceRequest));
  }
  void onTokens(uint64_t tokens, Duration sinceLast) override {
    outputTokens_.Increment(static_cast<double>(tokens));
    double each = seconds(sinceLast) / static_cast<double>(tokens);
    for (uint64_t i = 0; i < tokens; ++i) interToken_.Observe(each);
  }
  void onAnswered(Duration sinceRequest) override { duration_.Observe(seconds(sinceRequest)); }

  std::string text(const EngineStatus& engine) const override {
    auto families = registry_.Collect();
    families.insert(families.begin(), buildInfo());
    families.push_back(gauge("muster_requests_running", "Sequences that hold blocks of the cache",
                             engine.running));
    families.push_back(
        gauge("muster_requests_queued", "Sequences that wait for blocks", engine.waiting));
    double total = engine.blocksTotal == 0 ? 1 : engine.blocksTotal;
    families.push_back(gauge("muster_kv_cache_used_ratio", "Blocks of the cache in use",
                             engine.blocksUsed / total));
    families.push_back(counted("muster_preemptions_total",
                               "Sequences that gave their blocks away and were computed again",
                               static_cast<double>(engine.preemptions)));
    families.push_back(
        counted("muster_engine_steps_total", "Steps begun", static_cast<double>(engine.steps)));
    return prometheus::TextSerializer().Serialize(families);
  }

 private:
  prometheus::Family<prometheus::Counter>& counters(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Labels(labels_).Register(registry_);
  }
  Histogram& histogram(const char* name, const char* help) {
    return prometheus::BuildHistogram()
        .Name(name)
        .Help(help)
        .Labels(labels_)
        .Register(registry_)
        .Add({}, SECONDS);
  }
  static MetricFamily buildInfo() {
    ClientMetric metric;
    metric.label = {{"version", VERSION}, {"commit", COMMIT}};
    metric.gauge.value = 1;
    return {"muster_build_info",
            "Always 1; the labels say what runs",
            prometheus::MetricType::Gauge,
            {std::move(metric)}};
  }
  ClientMetric labelled() const {
    ClientMetric metric;
    for (const auto& [name, value] : labels_) metric.label.push_back({name, value});
    return metric;
  }
  MetricFamily gauge(const char* name, const char* help, double value) const {
    ClientMetric metric = labelled();
    metric.gauge.value = value;
    return {name, help, prometheus::MetricType::Gauge, {std::move(metric)}};
  }
  MetricFamily counted(const char* name, const char* help, double value) const {
    ClientMetric metric = labelled();
    metric.counter.value = value;
    return {name, help, prometheus::MetricType::Counter, {std::move(metric)}};
  }

  Labels labels_;
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Counter>& tokens_;
  prometheus::Counter& inputTokens_;
  prometheus::Counter& outputTokens_;
  Histogram& firstToken_;
  Histogram& interToken_;
  Histogram& duration_;
};

}  // namespace

kj::Own<ServingMetrics> ServingMetrics::make(ServingLabels labels) {
  return kj::heap<Metrics>(labels);
}

}  // namespace muster::worker
