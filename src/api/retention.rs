//! The calls of `AccessLogService` that dispose of the log and hold it.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::read::Fields;
use super::write::instant;
use super::{errors, peer, taken, to_its_end};
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::gate::{
    DisposeOutcome, DisposeWish, Gate, LogHoldPlace, LogHoldRelease, Withheld, WithheldThing,
};
use crate::identity::seals::SealName;
use crate::proto;
use crate::proto::{
    DisposeRequest, DisposeResponse, ListLogHoldsRequest, ListLogHoldsResponse,
    PlaceLogHoldRequest, PlaceLogHoldResponse, ReleaseLogHoldRequest, ReleaseLogHoldResponse,
    withheld_from_disposal::What,
};

/// 0 is no request: entry 0 is always that of the first start.
fn pending(number: u64) -> Option<LogIndex> {
    (number != 0).then_some(LogIndex(number))
}

pub(super) async fn dispose(
    gate: &Arc<Gate>,
    request: Request<DisposeRequest>,
) -> Result<Response<DisposeResponse>, Status> {
    let peer = peer::of(&request)?;
    let mut fields = Fields::default();
    let credentials = fields.credentials(request.metadata());
    let request = request.into_inner();
    let wish = DisposeWish {
        before: fields.instant("before", request.before.as_ref()),
        dry_run: request.dry_run,
        approve: pending(request.approve),
    };
    let wish = taken(gate, &peer, "Dispose", fields.finish(Some(wish))).await?;
    let (asked, dry_run) = (Arc::clone(gate), wish.dry_run);
    let outcome = to_its_end(async move { asked.dispose(&peer, &credentials, wish).await })
        .await
        .map_err(errors::status)?;
    Ok(Response::new(response(outcome, dry_run)))
}

fn response(outcome: DisposeOutcome, dry_run: bool) -> DisposeResponse {
    let found = outcome.found;
    DisposeResponse {
        entries: found.entries(),
        segments: found.segments.into_iter().map(segment).collect(),
        keys: found.keys.iter().map(key).collect(),
        withheld: found.withheld.into_iter().map(withheld).collect(),
        more: found.more,
        pending: outcome.pending.map_or(0, |(id, _)| id.0),
        pending_until: outcome
            .pending
            .and_then(|(_, until)| instant(until.micros())),
        log_index: if dry_run { 0 } else { outcome.index.0 },
    }
}

const fn segment((first, next): (u64, u64)) -> proto::DisposedSegment {
    proto::DisposedSegment { first, next }
}

fn key(name: &SealName) -> proto::DisposedKey {
    proto::DisposedKey {
        class: name.class().to_owned(),
        month: name.month().to_string(),
    }
}

fn withheld(withheld: Withheld) -> proto::WithheldFromDisposal {
    proto::WithheldFromDisposal {
        what: Some(match withheld.what {
            WithheldThing::Segment(first, next) => What::Segment(segment((first, next))),
            WithheldThing::Key(name) => What::Key(key(&name)),
        }),
        hold: withheld.hold.map_or(0, |hold| hold.0),
        why: withheld.why,
    }
}

pub(super) async fn place_log_hold(
    gate: &Arc<Gate>,
    request: Request<PlaceLogHoldRequest>,
) -> Result<Response<PlaceLogHoldResponse>, Status> {
    let peer = peer::of(&request)?;
    let mut fields = Fields::default();
    let credentials = fields.credentials(request.metadata());
    let request = request.into_inner();
    let place = LogHoldPlace {
        from: fields.instant("from", request.from.as_ref()),
        until: fields.instant("until", request.until.as_ref()),
        reason: request.reason,
    };
    let place = taken(gate, &peer, "PlaceLogHold", fields.finish(Some(place))).await?;
    let asked = Arc::clone(gate);
    let hold = to_its_end(async move { asked.place_log_hold(&peer, &credentials, place).await })
        .await
        .map_err(errors::status)?;
    Ok(Response::new(PlaceLogHoldResponse { hold: hold.0 }))
}

pub(super) async fn release_log_hold(
    gate: &Arc<Gate>,
    request: Request<ReleaseLogHoldRequest>,
) -> Result<Response<ReleaseLogHoldResponse>, Status> {
    let peer = peer::of(&request)?;
    let mut fields = Fields::default();
    let credentials = fields.credentials(request.metadata());
    let request = request.into_inner();
    let release = LogHoldRelease {
        hold: LogIndex(request.hold),
        reason: request.reason,
        approve: pending(request.approve),
    };
    let release = taken(gate, &peer, "ReleaseLogHold", fields.finish(Some(release))).await?;
    let asked = Arc::clone(gate);
    let released =
        to_its_end(async move { asked.release_log_hold(&peer, &credentials, release).await })
            .await
            .map_err(errors::status)?;
    Ok(Response::new(ReleaseLogHoldResponse {
        log_index: released.index.0,
        pending: released.pending_until.map_or(0, |_| released.index.0),
        pending_until: released
            .pending_until
            .map(Timestamp::micros)
            .and_then(instant),
    }))
}

pub(super) async fn list_log_holds(
    gate: &Arc<Gate>,
    request: Request<ListLogHoldsRequest>,
) -> Result<Response<ListLogHoldsResponse>, Status> {
    let peer = peer::of(&request)?;
    let mut fields = Fields::default();
    let credentials = fields.credentials(request.metadata());
    taken(gate, &peer, "ListLogHolds", fields.finish(Some(()))).await?;
    let holds = gate
        .list_log_holds(&peer, &credentials)
        .await
        .map_err(errors::status)?;
    let holds = holds
        .into_iter()
        .map(|seen| proto::LogHold {
            hold: seen.hold.id.0,
            from: seen.hold.from.map(Timestamp::micros).and_then(instant),
            until: seen.hold.until.map(Timestamp::micros).and_then(instant),
            reason: seen.reason,
            placed_by: seen.placed_by,
            placed_at: instant(seen.placed_at.micros()),
        })
        .collect();
    Ok(Response::new(ListLogHoldsResponse { holds }))
}
