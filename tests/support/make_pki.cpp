// muster-make-pki: certificates for a test, of the authority that is in the folder or of a new one.
//
// Usage: muster-make-pki FOLDER CLUSTER ROLE/NAME...
#include "base/pki.h"

#include <kj/debug.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace {

void make(const std::string& folder, const std::vector<std::string>& words) {
  muster::ClusterName cluster{words[0]};
  if (!std::filesystem::exists(folder + "/ca.crt")) muster::createCa(folder, cluster);
  for (size_t i = 1; i < words.size(); i++) {
    auto identity = muster::parseCommonName(words[i]);
    KJ_REQUIRE(identity.has_value(), "not ROLE/NAME", words[i].c_str());
    muster::issueCertificate(folder, {.identity = *identity, .cluster = cluster}, folder);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: muster-make-pki FOLDER CLUSTER ROLE/NAME...\n");
    return 2;
  }
  try {
    make(argv[1], {argv + 2, argv + argc});
    return 0;
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "muster-make-pki: %s\n", exception.getDescription().cStr());
    return 1;
  }
}
