// What a daemon tells the service manager that started it: ready, how it is, that it still turns.
// Source: sd_notify(3); datagrams of NAME=VALUE lines to the socket in $NOTIFY_SOCKET.
#pragma once

#include "base/units.h"

#include <kj/async.h>
#include <kj/function.h>
#include <kj/io.h>
#include <kj/timer.h>

#include <optional>
#include <string>

namespace muster {

class ServiceManager {
 public:
  // Of this process's environment; `pid` must be the one that WATCHDOG_PID names. Without a service
  // manager everything below does nothing.
  static ServiceManager fromEnvironment();
  // `socketPath`: an absolute path, or "@name" in the abstract namespace; empty: nobody listens.
  // `watchdog`: how long it waits for a sign of life; nothing: for ever.
  ServiceManager(const std::string& socketPath, std::optional<Duration> watchdog);

  bool isThere() const { return socket_.get() >= 0; }

  void ready();
  void reloading();  // until ready()
  void stopping();
  // One line for `systemctl status`; sent when it is another than the last one.
  void status(const std::string& text);

  // The status and a sign of life, once; to be told again before `signOfLifeEvery()`.
  void tell(const std::string& status);
  Duration signOfLifeEvery() const;

  // Tells the status now and each second, and the watchdog twice in its time, until dropped. It
  // runs on the event loop that does the work, so that a loop that hangs is found.
  kj::Promise<void> keepTelling(kj::Timer& timer, kj::Function<std::string()> describe);

 private:
  void send(const std::string& message);
  kj::Promise<void> tellOnce(kj::Timer& timer, kj::Function<std::string()>& describe);

  kj::AutoCloseFd socket_;
  std::optional<Duration> watchdog_;
  std::string lastStatus_;
};

}  // namespace muster
