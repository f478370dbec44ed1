// Values to and from Cap'n Proto. `encode` fills a builder; `decode` checks foreign input and
// throws a kj::Exception (FAILED) that names the field when a message cannot be what it says. For
// the log and the store there are byte forms.
#pragma once

#include "base/result.h"
#include "protocol/batch.h"
#include "protocol/command.h"
#include "protocol/log.capnp.h"
#include "protocol/order.h"
#include "protocol/types.capnp.h"
#include "protocol/worker.capnp.h"

namespace muster {

void encode(const Guid& value, schema::Guid::Builder out);
void encode(const HistoryId& value, schema::HistoryId::Builder out);
void encode(const FencingToken& value, schema::FencingToken::Builder out);
void encode(const RequestId& value, schema::RequestId::Builder out);
void encode(const Refusal& value, schema::Refusal::Builder out);
void encode(const NodeInfo& value, schema::Node::Builder out);
void encode(const ModelManifest& value, schema::ModelManifest::Builder out);
void encode(const EngineSpec& value, schema::Engine::Builder out);
void encode(const DeploymentSpec& value, schema::DeploymentSpec::Builder out);
void encode(const ShardPlan& value, schema::ShardPlan::Builder out);
void encode(const RankPlacement& value, schema::RankPlacement::Builder out);
void encode(const RankRef& value, schema::RankRef::Builder out);
void encode(const Command& value, schema::Command::Builder out);
void encode(const OrderStamp& value, schema::OrderStamp::Builder out);
void encode(const Assignment& value, schema::Assignment::Builder out);
void encode(const Order& value, schema::Order::Builder out);
void encode(const SliceReport& value, schema::SliceReport::Builder out);
void encode(const RankReport& value, schema::RankReport::Builder out);
void encode(const WeightSources& value, schema::WeightSources::Builder out);
void encode(const WorkerHello& value, schema::WorkerHello::Builder out);
void encode(const NodeReport& value, schema::NodeReport::Builder out);

Guid decode(schema::Guid::Reader in);
HistoryId decode(schema::HistoryId::Reader in);
FencingToken decode(schema::FencingToken::Reader in);
RequestId decode(schema::RequestId::Reader in);
Refusal decode(schema::Refusal::Reader in);
NodeInfo decode(schema::Node::Reader in);
ModelManifest decode(schema::ModelManifest::Reader in);
EngineSpec decode(schema::Engine::Reader in);
DeploymentSpec decode(schema::DeploymentSpec::Reader in);
ShardPlan decode(schema::ShardPlan::Reader in);
RankPlacement decode(schema::RankPlacement::Reader in);
RankRef decode(schema::RankRef::Reader in);
Command decode(schema::Command::Reader in);
OrderStamp decode(schema::OrderStamp::Reader in);
Assignment decode(schema::Assignment::Reader in);
Order decode(schema::Order::Reader in);
SliceReport decode(schema::SliceReport::Reader in);
RankReport decode(schema::RankReport::Reader in);
WeightSources decode(schema::WeightSources::Reader in);
WorkerHello decode(schema::WorkerHello::Reader in);
NodeReport decode(schema::NodeReport::Reader in);

// Durable forms: flat, unpacked Cap'n Proto messages. Equal values give equal bytes (canonical
// form).
ByteString encodeCommand(const Command& command);
Command decodeCommand(
    const ByteString& bytes);  // throws FAILED; UNIMPLEMENTED for an unknown command
ByteString encodeBatch(const Batch& batch);
Batch decodeBatch(const ByteString& bytes);

// The chain after a batch whose znode holds `bytes`: XXH3-128 of the bytes, which name the chain
// before.
ChainHash chainAfter(const ByteString& bytes);

}  // namespace muster
