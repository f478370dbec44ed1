// How long the certificates of a folder are good for.
#pragma once

#include "base/clock.h"
#include "cli/doctor/check.h"

#include <string>

namespace muster::cli {

// One line per .crt file, and per .pem file with a certificate, sorted by path: whether it has
// ended or ends within 30 days. Nothing for a folder that is not there.
// `fix`: what issues new ones.
Checks checkCertificates(const std::string& folder, WallTime now,
                         const std::string& fix = "ansible-playbook playbooks/certs.yml");

}  // namespace muster::cli
