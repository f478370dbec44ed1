#include "coordinator/effect_sender.h"

#include "base/kj_time.h"
#include "protocol/codec.h"

#include <kj/debug.h>

namespace muster::coordinator {

void EffectSender::send(NodeOrder order) {
  parts_.keeper.noteSent(order.node, order.order.stamp);
  NodeName node = order.node;
  auto task = deliver(node, kj::mv(order.order)).eagerlyEvaluate([](kj::Exception&&) {});
  underWay_.erase(node);
  underWay_.emplace(kj::mv(node), kj::mv(task));
}

kj::Promise<void> EffectSender::deliver(NodeName node, Order order) {
  OrderStamp stamp = order.stamp;
  return parts_.driver.mayLeave(ReadMode::COMMITTED)
      .then([this, node, order = kj::mv(order)]() { return obey(node, order); })
      .catch_([this, node, stamp](kj::Exception&& why) {
        failed(node, stamp, why);
        return parts_.timer.afterDelay(toKj(ORDER_RETRY)).then([this, node, stamp] {
          parts_.keeper.noteNotSent(node, stamp);
        });
      });
}

kj::Promise<void> EffectSender::obey(NodeName node, const Order& order) {
  const Attachment* attachment = parts_.registry.find(node);
  KJ_REQUIRE(attachment != nullptr, "the node is not attached", node.value.c_str());
  schema::Agent::Client agent = attachment->agent;
  auto request = agent.obeyRequest();
  encode(order, request.initOrder());
  OrderStamp stamp = order.stamp;
  parts_.facts.ordersSent++;
  auto answer = request.send().then(
      [this, node, stamp](capnp::Response<schema::Agent::ObeyResults>&& response) {
        answered(node, stamp, response.getAnswer());
      });
  return withDeadline(parts_.timer, ORDER_DEADLINE, "an order to " + node.value, kj::mv(answer));
}

void EffectSender::answered(const NodeName& node, const OrderStamp& stamp,
                            schema::ObeyAnswer::Reader answer) {
  if (answer.isObeyed()) {
    parts_.keeper.noteObeyed(node, decode(answer.getObeyed()));
    return;
  }
  Refusal refusal = decode(answer.getRefusal());
  OrderStamp highest = decode(answer.getHighest());
  if (highest.token > stamp.token) {
    parts_.facts.fencedAttempts++;
    parts_.authority.sawToken(highest.token, node);
  }
  KJ_FAIL_REQUIRE("the agent refused an order", node.value.c_str(), refusal.text.c_str());
}

void EffectSender::failed(const NodeName& node, const OrderStamp& stamp, const kj::Exception& why) {
  parts_.facts.ordersFailed++;
  parts_.logger.warn("order not obeyed",
                     {{"node", node}, {"index", stamp.index}, {"why", why.getDescription()}});
}

}  // namespace muster::coordinator
