// The parts of apply, one function a command. Each is called only with a command that check() has
// accepted.
#pragma once

#include "coordinator/core/change.h"

namespace muster::coordinator {

void applyBody(Change& change, const LeaderStarted& body);
void applyBody(Change& change, const NodeRegistered& body);
void applyBody(Change& change, const NodePhaseChanged& body);
void applyBody(Change& change, const NodeCordoned& body);
void applyBody(Change& change, const NodeUncordoned& body);
void applyBody(Change& change, const NodeDrainStarted& body);
void applyBody(Change& change, const NodeDrained& body);
void applyBody(Change& change, const ModelRecorded& body);
void applyBody(Change& change, const DeploymentApplied& body);
void applyBody(Change& change, const DeploymentScaled& body);
void applyBody(Change& change, const DeploymentDeleted& body);
void applyBody(Change& change, const ReplicaPlaced& body);
void applyBody(Change& change, const ReplicaWaiting& body);
void applyBody(Change& change, const RankProgressed& body);
void applyBody(Change& change, const ReplicaRetired& body);
void applyBody(Change& change, const RanksReleased& body);
void applyBody(Change& change, const SchemaLevelRaised& body);

// What shall run on these nodes is another than before: their next order is a new one.
void noteOrders(Change& change, const Placement& placement);
// Devices became free, or a node takes work again: what waits is asked again.
void noteCapacity(Change& change);

// Removes a deleted deployment once nothing of it runs on a node that is not lost.
void finishDeletion(Change& change, DeploymentUid uid);

}  // namespace muster::coordinator
