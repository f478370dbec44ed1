#include "worker/engine/native/rope.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>

namespace muster::worker {
namespace {

using nlohmann::json;

// Fields of rope_scaling; keeps the first that is missing or no number.
class ScalingFields {
 public:
  explicit ScalingFields(const json& scaling) : scaling_(scaling) {}

  std::string type() const {
    for (const char* name : {"rope_type", "type"}) {  // the second is the older name
      auto field = scaling_.find(name);
      if (field != scaling_.end() && field->is_string()) return field->get<std::string>();
    }
    return "";
  }

  bool has(const char* name) const {
    auto field = scaling_.find(name);
    return field != scaling_.end() && !field->is_null();
  }

  double number(const char* name, std::optional<double> otherwise = {}) {
    if (!has(name) && otherwise) return *otherwise;
    auto field = scaling_.find(name);
    if (field != scaling_.end() && field->is_number() && field->get<double>() > 0) {
      return field->get<double>();
    }
    if (refused.empty()) refused = std::string(name) + " is missing or not above 0";
    return 1;
  }

  std::string refused;

 private:
  const json& scaling_;
};

std::vector<double> plainFrequencies(double theta, uint64_t headSize) {
  std::vector<double> frequencies;
  for (uint64_t i = 0; i < headSize / 2; ++i) {
    frequencies.push_back(
        std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(headSize)));
  }
  return frequencies;
}

// Slow pairs turn `factor` times slower, fast ones as before, those between are blended.
void scaleLikeLlama3(std::vector<double>& frequencies, ScalingFields& fields) {
  double factor = fields.number("factor");
  double low = fields.number("low_freq_factor");
  double high = fields.number("high_freq_factor");
  double context = fields.number("original_max_position_embeddings");
  if (fields.refused.empty() && low >= high) fields.refused = "low_freq_factor >= high_freq_factor";
  for (double& frequency : frequencies) {
    double turns = context * frequency / (2 * std::numbers::pi);  // within the original context
    double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    frequency *= kept + (1 - kept) / factor;
  }
}

// The pair, as a fraction, that turns `turns` times within the original context.
double pairThatTurns(double turns, double theta, double context, double headSize) {
  return headSize * std::log(context / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
}

double yarnScale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

// Returns the factor of cosine and sine.
double scaleLikeYarn(std::vector<double>& frequencies, ScalingFields& fields,
                     const sharding::ModelSpec& spec) {
  double factor = fields.number("factor");
  double fast = fields.number("beta_fast", 32);
  double slow = fields.number("beta_slow", 1);
  double context =
      fields.number("original_max_position_embeddings", static_cast<double>(spec.positions));
  auto headSize = static_cast<double>(spec.headSize);
  double first = std::floor(pairThatTurns(fast, spec.ropeTheta, context, headSize));
  double last = std::ceil(pairThatTurns(slow, spec.ropeTheta, context, headSize));
  first = std::max(first, 0.0);
  last = std::min(last, headSize - 1);
  if (first == last) last += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double slowness = std::clamp((static_cast<double>(i) - first) / (last - first), 0.0, 1.0);
    frequencies[i] *= (1 - slowness) + slowness / factor;
  }
  double natural = yarnScale(factor, 1);
  if (fields.has("mscale") && fields.has("mscale_all_dim")) {
    natural = yarnScale(factor, fields.number("mscale")) /
              yarnScale(factor, fields.number("mscale_all_dim"));
  }
  return fields.number("attention_factor", natural);
}

}  // namespace

Result<RopeTable> RopeTable::of(const sharding::ModelSpec& spec) {
  RopeTable table;
  table.frequencies_ = plainFrequencies(spec.ropeTheta, spec.headSize);
  if (spec.ropeScaling.empty()) return table;
  json scaling = json::parse(spec.ropeScaling);
  ScalingFields fields(scaling);
  std::string type = fields.type();
  if (type == "linear") {
    double factor = fields.number("factor");
    for (double& frequency : table.frequencies_) frequency /= factor;
  } else if (type == "llama3") {
    scaleLikeLlama3(table.frequencies_, fields);
  } else if (type == "yarn") {
    table.factor_ = scaleLikeYarn(table.frequencies_, fields, spec);
  } else if (type != "default") {
    fields.refused = "type \"" + type + "\" is not one of default, linear, llama3 and yarn";
  }
  if (!fields.refused.empty()) {
    return Refusal{.code = RefusalCode::MODEL_CONFIG_INVALID,
                   .text = "config.json: rope_scaling: " + fields.refused};
  }
  return table;
}

void RopeTable::append(uint32_t position, std::vector<Rotation>& to) const {
  for (double frequency : frequencies_) {
    double angle = position * frequency;
    to.push_back({static_cast<float>(factor_ * std::cos(angle)),
                  static_cast<float>(factor_ * std::sin(angle))});
  }
}

}  // namespace muster::worker
