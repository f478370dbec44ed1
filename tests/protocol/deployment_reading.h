// Deployments from a text, for tests of what is read.
#pragma once

#include "protocol/deployment_yaml.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace muster::deployment_reading {

// The fields that every deployment must have.
inline const std::string HEAD = "version: 1\nname: chat\nmodel: file:/models/chat\n";

inline Result<std::vector<DeploymentSpec>> parse(const std::string& yaml) {
  return parseDeployments(yaml, "chat.yaml");
}

// The test fails when it is refused, or is not one.
inline DeploymentSpec parseOne(const std::string& yaml) {
  auto parsed = parse(yaml);
  if (!parsed) {
    ADD_FAILURE() << parsed.refusal().text;
    return {};
  }
  EXPECT_EQ(parsed->size(), 1u);
  return parsed->at(0);
}

}  // namespace muster::deployment_reading
