//! `ExplainService`.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::read::{AFTER, Fields, after_person, page_size};
use super::{errors, peer, taken, write};
use crate::decision::rules::Promise;
use crate::domain::access::{Action, Proof};
use crate::domain::ids::Name;
use crate::domain::reason::{Reason, Stage};
use crate::gate::{Access, Actor, Allowed, ExplainWish, ExplainedStage, Gate, WhoWish};
use crate::proto::explain_service_server::ExplainService;
use crate::proto::register_part::Part;
use crate::proto::{
    self, AllowedAccess, AllowedActor, ExplainRequest, ExplainResponse, GetRegisterRequest,
    ListAllowedAccessRequest, ListAllowedAccessResponse, ListAllowedActorsRequest,
    ListAllowedActorsResponse, RegisterPart,
};
use crate::report::{AccessRow, RecipientRow, Register, RoleRow, SystemRow};

/// Clients take 4 MiB unless told otherwise.
const PAGE_MAX_BYTES: usize = 2 * 1024 * 1024;
/// So many people of a role go in one message.
const PEOPLE_OF_PART: usize = 1_000;
/// Between the parts of a token that names an access; no id has one.
const BETWEEN: char = '/';

/// Tells why a decision is what it is.
#[derive(Debug, Clone)]
pub struct Explanations {
    gate: Arc<Gate>,
}

impl Explanations {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

#[tonic::async_trait]
impl ExplainService for Explanations {
    type GetRegisterStream = Pin<Box<dyn Stream<Item = Result<RegisterPart, Status>> + Send>>;

    async fn explain(
        &self,
        request: Request<ExplainRequest>,
    ) -> Result<Response<ExplainResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let wish = explain_wish(&mut fields, request.into_inner());
        let wish = taken(&self.gate, &peer, "Explain", fields.finish(wish)).await?;
        let explained = self
            .gate
            .explain(&peer, &credentials, wish)
            .await
            .map_err(errors::status)?;
        let decision = if explained.allowed {
            proto::Decision::Allow
        } else {
            proto::Decision::Deny
        };
        Ok(Response::new(ExplainResponse {
            decision: decision.into(),
            stages: explained.stages.iter().map(stage).collect(),
            policy_revision: data_encoding::HEXLOWER.encode(&explained.revision),
            withheld_categories: explained
                .withheld_categories
                .iter()
                .map(|(category, why)| proto::WithheldCategory {
                    category: category.to_string(),
                    reason: Some(reason(why)),
                })
                .collect(),
            withheld_subjects: explained
                .withheld_subjects
                .iter()
                .map(|withheld| proto::WithheldSubject {
                    index: u32::try_from(withheld.position).unwrap_or(u32::MAX),
                    reason: Some(reason(&withheld.reason)),
                })
                .collect(),
            log_index: explained.index().0,
        }))
    }

    async fn list_allowed_actors(
        &self,
        request: Request<ListAllowedActorsRequest>,
    ) -> Result<Response<ListAllowedActorsResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let page_size = page_size(&mut fields, request.page_size);
        let wish = who_wish(&mut fields, request);
        let wish = taken(&self.gate, &peer, "ListAllowedActors", fields.finish(wish)).await?;
        let actors = self
            .gate
            .allowed_actors(&peer, &credentials, wish)
            .await
            .map_err(errors::status)?;
        let (page, more) = page(&actors, page_size, actor);
        let last = page.last().filter(|_| more);
        let next_page_token =
            last.map_or_else(String::new, |last| format!("{AFTER}{}", last.person));
        Ok(Response::new(ListAllowedActorsResponse {
            actors: page,
            next_page_token,
        }))
    }

    async fn list_allowed_access(
        &self,
        request: Request<ListAllowedAccessRequest>,
    ) -> Result<Response<ListAllowedAccessResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let page_size = page_size(&mut fields, request.page_size);
        let person = fields.required("person", &request.person);
        let after = after_access(&mut fields, &request.page_token);
        let person = taken(
            &self.gate,
            &peer,
            "ListAllowedAccess",
            fields.finish(person),
        )
        .await?;
        let token = Some(&*request.page_token).filter(|token| !token.is_empty());
        let mut accesses = self
            .gate
            .allowed_access(&peer, &credentials, &person, token)
            .await
            .map_err(errors::status)?;
        if let Some(after) = after {
            accesses.retain(|access| key(access) > after.key());
        }
        let (page, more) = page(&accesses, page_size, access);
        let last = accesses.get(page.len().wrapping_sub(1)).filter(|_| more);
        Ok(Response::new(ListAllowedAccessResponse {
            accesses: page,
            next_page_token: last.map_or_else(String::new, token_after),
        }))
    }

    async fn get_register(
        &self,
        request: Request<GetRegisterRequest>,
    ) -> Result<Response<Self::GetRegisterStream>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let read = fields.finish(Some(credentials));
        let credentials = taken(&self.gate, &peer, "GetRegister", read).await?;
        let seen = self
            .gate
            .register_of_access(&peer, &credentials)
            .await
            .map_err(errors::status)?;
        let parts = register_parts(seen.index().0, seen.register);
        let parts = parts
            .into_iter()
            .map(|part| Ok(RegisterPart { part: Some(part) }));
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }
}

fn explain_wish(fields: &mut Fields, request: ExplainRequest) -> Option<ExplainWish> {
    let as_person = fields.name("as_person", &request.as_person);
    let as_service = fields.name("as_service", &request.as_service);
    let Some(check) = request.request else {
        fields.wrong("request", "is missing");
        return None;
    };
    fields.below("request.".to_owned());
    let request = fields.access(check, None)?;
    if as_person.is_some() && request.proof != Proof::Missing {
        fields.wrong(
            "actor",
            "has a proof, but as_person stands for it: leave one of them out",
        );
    }
    Some(ExplainWish {
        request,
        as_person,
        as_service,
    })
}

fn who_wish(fields: &mut Fields, request: ListAllowedActorsRequest) -> Option<WhoWish> {
    let data = request.data.unwrap_or_default();
    for (field, is_set) in [
        ("data.subject_ref", !data.subject_ref.is_empty()),
        ("data.subject_refs", !data.subject_refs.is_empty()),
        ("data.record_count", data.record_count != 0),
        ("data.collected_via", !data.collected_via.is_empty()),
        ("data.origin_country", !data.origin_country.is_empty()),
    ] {
        if is_set {
            fields.wrong(field, "is no part of who could be allowed: see Explain");
        }
    }
    let system = fields.name("data.system", &data.system);
    let subject_kind = fields.required("data.subject_kind", &data.subject_kind);
    let categories = fields.categories(&data.categories);
    let action = fields.known("action", request.action, Action::from_number);
    if request.action == 0 {
        fields.wrong("action", "is missing");
    }
    let purpose = fields.required("purpose", &request.purpose);
    let after = after_person(fields, &request.page_token);
    Some(WhoWish {
        system,
        subject_kind: subject_kind?,
        categories,
        action: action?,
        purpose: purpose?,
        after,
    })
}

/// As many as fit into a page, and whether there are more. At least one, if there is any.
fn page<T, W: prost::Message>(all: &[T], size: usize, write: impl Fn(&T) -> W) -> (Vec<W>, bool) {
    let mut page = Vec::new();
    let mut bytes = 0_usize;
    for one in all.iter().take(size) {
        let one = write(one);
        bytes = bytes.saturating_add(one.encoded_len());
        if bytes > PAGE_MAX_BYTES && !page.is_empty() {
            break;
        }
        page.push(one);
    }
    let more = page.len() < all.len();
    (page, more)
}

/// Where in the list an access stands.
type Key<'a> = (&'a str, &'a str, Action, &'a str);

fn key(access: &Access) -> Key<'_> {
    (
        &access.subject_kind,
        &access.category,
        access.action,
        &access.purpose,
    )
}

fn token_after(last: &Access) -> String {
    let (kind, category, action, purpose) = key(last);
    format!("{AFTER}{kind}{BETWEEN}{category}{BETWEEN}{action}{BETWEEN}{purpose}")
}

/// The last access of the page before.
struct AfterAccess {
    kind: String,
    category: String,
    action: Action,
    purpose: String,
}

impl AfterAccess {
    fn key(&self) -> Key<'_> {
        (&self.kind, &self.category, self.action, &self.purpose)
    }
}

fn after_access(fields: &mut Fields, token: &str) -> Option<AfterAccess> {
    if token.is_empty() {
        return None;
    }
    let parts = token.strip_prefix(AFTER).map(|parts| parts.split(BETWEEN));
    let after = parts.and_then(|mut parts| {
        let mut next = || Name::parse(parts.next()?).ok();
        let (kind, category, action, purpose) = (next()?, next()?, next()?, next()?);
        let after = AfterAccess {
            kind: kind.into(),
            category: category.into(),
            action: Action::from_name(&action)?,
            purpose: purpose.into(),
        };
        next().is_none().then_some(after)
    });
    if after.is_none() {
        fields.wrong("page_token", "is no token that a page gave");
    }
    after
}

fn reason(reason: &Reason) -> proto::Reason {
    write::reason(&proto::StoredReason {
        code: reason.code.number(),
        about: reason.about.to_string(),
    })
}

const fn wire_stage(stage: Stage) -> proto::Stage {
    match stage {
        Stage::Caller => proto::Stage::Caller,
        Stage::Network => proto::Stage::Network,
        Stage::TwoStep => proto::Stage::TwoStep,
        Stage::Person => proto::Stage::Person,
        Stage::Grant => proto::Stage::Grant,
        Stage::Subject => proto::Stage::Subject,
        Stage::Provision => proto::Stage::Provision,
        Stage::Limits => proto::Stage::Limits,
    }
}

fn promises(promise: Option<&Promise>) -> (String, String) {
    promise.map_or_else(Default::default, |promise| {
        (promise.text().to_owned(), promise.text_ja().to_owned())
    })
}

fn stage(stage: &ExplainedStage) -> proto::StageVerdict {
    let verdict = &stage.verdict;
    let (promise, promise_ja) = promises(stage.promise.as_ref());
    proto::StageVerdict {
        stage: wire_stage(verdict.stage).into(),
        passed: verdict.passed == Some(true),
        reasons: verdict.reasons.iter().map(reason).collect(),
        rule: verdict
            .rule
            .map_or_else(String::new, |rule| rule.to_string()),
        promise,
        promise_ja,
        not_evaluated: verdict.passed.is_none(),
    }
}

fn actor(actor: &Actor) -> AllowedActor {
    let Allowed {
        rule,
        on_request,
        promise,
    } = &actor.by;
    let (promise, promise_ja) = promises(promise.as_ref());
    AllowedActor {
        person: actor.person.to_string(),
        roles: actor.roles.clone(),
        rule: rule.to_string(),
        promise,
        promise_ja,
        on_request: *on_request,
    }
}

/// One thing that somebody could be allowed.
pub(super) fn access(access: &Access) -> AllowedAccess {
    let Allowed {
        rule,
        on_request,
        promise,
    } = &access.by;
    let (promise, promise_ja) = promises(promise.as_ref());
    AllowedAccess {
        subject_kind: access.subject_kind.clone(),
        category: access.category.clone(),
        action: access.action.number(),
        purpose: access.purpose.clone(),
        rule: rule.to_string(),
        promise,
        promise_ja,
        on_request: *on_request,
    }
}

/// The register, message by message.
fn register_parts(log_index: u64, register: Register) -> Vec<Part> {
    let header = proto::RegisterHeader {
        pack: register.pack,
        title: register.title,
        title_ja: register.title_ja,
        policy_revision: register.revision,
        at: crate::domain::time::Timestamp::parse(&register.at)
            .ok()
            .and_then(|at| write::instant(at.micros())),
        log_index,
    };
    let systems = register.systems.into_iter().map(system_part);
    let roles = register.roles.into_iter().flat_map(role_parts);
    let access = register.access.into_iter().map(access_part);
    let recipients = register.recipients.into_iter().map(recipient_part);
    std::iter::once(Part::Header(header))
        .chain(systems)
        .chain(roles)
        .chain(access)
        .chain(recipients)
        .collect()
}

fn system_part(row: SystemRow) -> Part {
    Part::System(system(row))
}

/// A system as reports list it.
pub(super) fn system(row: SystemRow) -> proto::RegisterSystem {
    proto::RegisterSystem {
        id: row.id,
        title: row.title,
        title_ja: row.title_ja,
        responsible: row.responsible,
        responsible_ja: row.responsible_ja,
        department: row.department,
        country: row.country,
        coverage: row.coverage,
        services: row.services,
    }
}

fn role_parts(row: RoleRow) -> Vec<Part> {
    let part = |people: &[String]| {
        Part::Role(proto::RegisterRole {
            role: row.role.clone(),
            people: people.to_vec(),
            services: row.services.clone(),
        })
    };
    if row.people.is_empty() {
        return vec![part(&[])];
    }
    row.people.chunks(PEOPLE_OF_PART).map(part).collect()
}

fn access_part(row: AccessRow) -> Part {
    let (promise, promise_ja) = row.promise.unwrap_or_default();
    Part::Access(proto::RegisterAccess {
        role: row.role,
        subject_kind: row.subject_kind,
        categories: row.categories,
        actions: row.actions.into_iter().map(Action::number).collect(),
        purpose: row.purpose,
        on_request: row.on_request,
        rules: row.rules,
        promise,
        promise_ja,
    })
}

fn recipient_part(row: RecipientRow) -> Part {
    let (promise, promise_ja) = row.promise.unwrap_or_default();
    Part::Recipient(proto::RegisterRecipient {
        id: row.id,
        route: row.route,
        country: row.country,
        items: row.items,
        purposes: row.purposes,
        contract_until: row.contract_until,
        inspected_until: row.inspected_until,
        equivalent_until: row.equivalent_until,
        record_years: row.record_years,
        no_record: row.no_record,
        rule: row.rule,
        promise,
        promise_ja,
    })
}
