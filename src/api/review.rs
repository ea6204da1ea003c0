//! `ReviewService`.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::findings::{self, CaseStream, CasesStream};
use super::read::Fields;
use super::review_parts::{item, question, redrawn, review};
use super::{errors, peer, taken, to_its_end};
use crate::domain::calendar::parse_date;
use crate::domain::ids::{LogIndex, Name};
use crate::gate::{Gate, ItemFilter, Judgement, ReviewWish};
use crate::proto::review_service_server::ReviewService;
use crate::proto::{
    AnswerQuestionRequest, AnswerQuestionResponse, AskPersonRequest, AskPersonResponse,
    AssignItemRequest, AssignItemResponse, ExplainFindingRequest, GetItemRequest, GetItemResponse,
    GetReviewReportRequest, GetReviewReportResponse, GetReviewRequest, GetReviewResponse,
    JudgeItemRequest, JudgeItemResponse, ListFindingsRequest, ListItemsRequest, ListItemsResponse,
    ListMyQuestionsRequest, ListMyQuestionsResponse, ListReviewsRequest, ListReviewsResponse,
    OpenReviewRequest, OpenReviewResponse, RedrawSampleRequest, RedrawSampleResponse,
    ReviewReportFormat, SignReviewRequest, SignReviewResponse,
};
use crate::report::Language;
use crate::review::campaign::{CampaignKind, ItemState};

/// How many items are judged at once at most.
const JUDGED_MAX: usize = 100;
const DEPARTMENTS_MAX: usize = 100;

/// The periodic review of the log.
#[derive(Debug, Clone)]
pub struct Reviews {
    gate: Arc<Gate>,
}

impl Reviews {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

/// A page's size and what it comes behind.
fn page(fields: &mut Fields, size: i32, usual: u32, most: u32, token: &str) -> (u32, Option<u64>) {
    let size = match u32::try_from(size) {
        Ok(0) => usual,
        Ok(size) if size <= most => size,
        _ => {
            fields.wrong("page_size", format!("is not from 1 to {most}"));
            usual
        }
    };
    if token.is_empty() {
        return (size, None);
    }
    let after = token.parse::<u64>().ok();
    if after.is_none() {
        fields.wrong("page_token", "is no token that a page gave");
    }
    (size, after)
}

/// The campaign's number and the item's.
fn which(fields: &mut Fields, review: u64, item: u32) -> (LogIndex, u32) {
    if review == 0 {
        fields.wrong("review", "is missing");
    }
    if item == 0 {
        fields.wrong("item", "is missing");
    }
    (LogIndex(review), item)
}

fn open_wish(fields: &mut Fields, request: OpenReviewRequest) -> Option<ReviewWish> {
    let kind = fields.known("kind", request.kind, CampaignKind::from_number);
    let mut day = |field: &str, text: &str| {
        let day = parse_date(text);
        if day.is_none() && !text.is_empty() {
            fields.wrong(field, "is no day like 2026-10-31");
        }
        day
    };
    let from = day("from_day", &request.from_day);
    let until = day("until_day", &request.until_day);
    if request.from_day.is_empty() != request.until_day.is_empty() {
        fields.wrong("until_day", "goes with from_day: give both, or none");
    }
    if request.departments.len() > DEPARTMENTS_MAX {
        fields.wrong("departments", format!("are more than {DEPARTMENTS_MAX}"));
        return None;
    }
    let departments: Vec<Name> = request
        .departments
        .iter()
        .enumerate()
        .filter_map(|(position, name)| fields.required(&format!("departments[{position}]"), name))
        .collect();
    Some(ReviewWish {
        kind: kind.unwrap_or(CampaignKind::Access),
        days: from.zip(until),
        departments,
        due_in_days: request.due_in_days,
        confidence_percent: request.confidence_percent,
        rate_percent: request.rate_percent,
    })
}

fn judgement(fields: &mut Fields, request: JudgeItemRequest) -> Option<Judgement> {
    let mut items = request.items;
    items.sort_unstable();
    items.dedup();
    if request.review == 0 {
        fields.wrong("review", "is missing");
    }
    if items.is_empty() || items.contains(&0) {
        fields.wrong("items", "are missing");
    } else if items.len() > JUDGED_MAX {
        fields.wrong("items", format!("are more than {JUDGED_MAX}"));
    }
    if request.judgement == 0 {
        fields.wrong("judgement", "is missing");
    }
    let state = fields.known("judgement", request.judgement, |number| {
        ItemState::from_number(number).filter(|state| state.is_judged())
    });
    Some(Judgement {
        review: LogIndex(request.review),
        items,
        state: state?,
        why: request.why,
    })
}

#[tonic::async_trait]
impl ReviewService for Reviews {
    type ListFindingsStream = CasesStream;
    type ExplainFindingStream = CaseStream;
    type GetReviewReportStream =
        Pin<Box<dyn Stream<Item = Result<GetReviewReportResponse, Status>> + Send>>;

    async fn list_findings(
        &self,
        request: Request<ListFindingsRequest>,
    ) -> Result<Response<Self::ListFindingsStream>, Status> {
        findings::list(&self.gate, request).await
    }

    async fn explain_finding(
        &self,
        request: Request<ExplainFindingRequest>,
    ) -> Result<Response<Self::ExplainFindingStream>, Status> {
        findings::explain(&self.gate, request).await
    }

    async fn open_review(
        &self,
        request: Request<OpenReviewRequest>,
    ) -> Result<Response<OpenReviewResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let wish = open_wish(&mut fields, request.into_inner());
        let wish = taken(&self.gate, &peer, "OpenReview", fields.finish(wish)).await?;
        let gate = Arc::clone(&self.gate);
        let seen = to_its_end(async move { gate.open_review(&peer, &credentials, wish).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(OpenReviewResponse {
            review: Some(review(seen)),
        }))
    }

    async fn list_reviews(
        &self,
        request: Request<ListReviewsRequest>,
    ) -> Result<Response<ListReviewsResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let (size, before) = page(&mut fields, request.page_size, 50, 200, &request.page_token);
        taken(&self.gate, &peer, "ListReviews", fields.finish(Some(()))).await?;
        let before = before.map(LogIndex);
        let (seen, more) = self
            .gate
            .list_reviews(&peer, &credentials, request.open_only, before, size)
            .await
            .map_err(errors::status)?;
        let last = seen.last().filter(|_| more);
        let next_page_token = last.map_or_else(String::new, |last| last.kept.id.to_string());
        Ok(Response::new(ListReviewsResponse {
            reviews: seen.into_iter().map(review).collect(),
            next_page_token,
        }))
    }

    async fn get_review(
        &self,
        request: Request<GetReviewRequest>,
    ) -> Result<Response<GetReviewResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let id = LogIndex(request.into_inner().review);
        taken(&self.gate, &peer, "GetReview", fields.finish(Some(()))).await?;
        let seen = self
            .gate
            .get_review(&peer, &credentials, id)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(GetReviewResponse {
            review: Some(review(seen)),
        }))
    }

    async fn list_items(
        &self,
        request: Request<ListItemsRequest>,
    ) -> Result<Response<ListItemsResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let (size, after) = page(
            &mut fields,
            request.page_size,
            100,
            500,
            &request.page_token,
        );
        let filter = ItemFilter {
            review: LogIndex(request.review),
            state: fields.known("state", request.state, ItemState::from_number),
            mine: request.mine,
            open_only: request.open_only,
            after: u32::try_from(after.unwrap_or(0)).unwrap_or(u32::MAX),
            size: usize::try_from(size).unwrap_or(usize::MAX),
        };
        let filter = taken(&self.gate, &peer, "ListItems", fields.finish(Some(filter))).await?;
        let (seen, more) = self
            .gate
            .list_review_items(&peer, &credentials, filter)
            .await
            .map_err(errors::status)?;
        let last = seen.last().filter(|_| more);
        let next_page_token = last.map_or_else(String::new, |last| last.kept.item.item.to_string());
        Ok(Response::new(ListItemsResponse {
            items: seen.into_iter().map(item).collect(),
            next_page_token,
        }))
    }

    async fn get_item(
        &self,
        request: Request<GetItemRequest>,
    ) -> Result<Response<GetItemResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let which = which(&mut fields, request.review, request.item);
        let which = taken(&self.gate, &peer, "GetItem", fields.finish(Some(which))).await?;
        let seen = self
            .gate
            .get_review_item(&peer, &credentials, which)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(GetItemResponse {
            item: Some(item(seen)),
        }))
    }

    async fn ask_person(
        &self,
        request: Request<AskPersonRequest>,
    ) -> Result<Response<AskPersonResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let which = which(&mut fields, request.review, request.item);
        let which = taken(&self.gate, &peer, "AskPerson", fields.finish(Some(which))).await?;
        let gate = Arc::clone(&self.gate);
        let index = to_its_end(async move {
            gate.ask_person(&peer, &credentials, which, request.question)
                .await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(AskPersonResponse { log_index: index.0 }))
    }

    async fn answer_question(
        &self,
        request: Request<AnswerQuestionRequest>,
    ) -> Result<Response<AnswerQuestionResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let (review, item) = which(&mut fields, request.review, request.item);
        let which = (review, item, LogIndex(request.question_log_index));
        let which = taken(
            &self.gate,
            &peer,
            "AnswerQuestion",
            fields.finish(Some(which)),
        )
        .await?;
        let gate = Arc::clone(&self.gate);
        let index = to_its_end(async move {
            gate.answer_question(&peer, &credentials, which, request.answer)
                .await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(AnswerQuestionResponse { log_index: index.0 }))
    }

    async fn list_my_questions(
        &self,
        request: Request<ListMyQuestionsRequest>,
    ) -> Result<Response<ListMyQuestionsResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        taken(
            &self.gate,
            &peer,
            "ListMyQuestions",
            fields.finish(Some(())),
        )
        .await?;
        let questions = self
            .gate
            .my_questions(&peer, &credentials)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(ListMyQuestionsResponse {
            questions: questions.into_iter().map(question).collect(),
        }))
    }

    async fn judge_item(
        &self,
        request: Request<JudgeItemRequest>,
    ) -> Result<Response<JudgeItemResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let judgement = judgement(&mut fields, request.into_inner());
        let judgement = taken(&self.gate, &peer, "JudgeItem", fields.finish(judgement)).await?;
        let gate = Arc::clone(&self.gate);
        let index =
            to_its_end(async move { gate.judge_items(&peer, &credentials, judgement).await })
                .await
                .map_err(errors::status)?;
        Ok(Response::new(JudgeItemResponse { log_index: index.0 }))
    }

    async fn assign_item(
        &self,
        request: Request<AssignItemRequest>,
    ) -> Result<Response<AssignItemResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let which = which(&mut fields, request.review, request.item);
        let reviewer = fields.required("reviewer", &request.reviewer);
        let wish = reviewer.map(|reviewer| (which, reviewer));
        let (which, reviewer) = taken(&self.gate, &peer, "AssignItem", fields.finish(wish)).await?;
        let gate = Arc::clone(&self.gate);
        let index =
            to_its_end(async move { gate.assign_item(&peer, &credentials, which, reviewer).await })
                .await
                .map_err(errors::status)?;
        Ok(Response::new(AssignItemResponse { log_index: index.0 }))
    }

    async fn sign_review(
        &self,
        request: Request<SignReviewRequest>,
    ) -> Result<Response<SignReviewResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let id = LogIndex(request.into_inner().review);
        taken(&self.gate, &peer, "SignReview", fields.finish(Some(()))).await?;
        let gate = Arc::clone(&self.gate);
        let (index, digest) =
            to_its_end(async move { gate.sign_review(&peer, &credentials, id).await })
                .await
                .map_err(errors::status)?;
        Ok(Response::new(SignReviewResponse {
            log_index: index.0,
            report_digest: data_encoding::HEXLOWER.encode(&digest),
        }))
    }

    async fn get_review_report(
        &self,
        request: Request<GetReviewReportRequest>,
    ) -> Result<Response<Self::GetReviewReportStream>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let language = match &*request.language {
            "" | "ja" => Language::Japanese,
            "en" => Language::English,
            _ => {
                fields.wrong("language", "is neither en nor ja");
                Language::Japanese
            }
        };
        let format = fields.known("format", request.format, |number| {
            ReviewReportFormat::try_from(number).ok()
        });
        let id = LogIndex(request.review);
        taken(
            &self.gate,
            &peer,
            "GetReviewReport",
            fields.finish(Some(())),
        )
        .await?;
        let report = self
            .gate
            .review_report(&peer, &credentials, id)
            .await
            .map_err(errors::status)?;
        let text = match format {
            Some(ReviewReportFormat::Csv) => report.csv(language),
            Some(ReviewReportFormat::Json) => format!("{:#}\n", report.json()),
            Some(ReviewReportFormat::Html | ReviewReportFormat::Unspecified) | None => {
                report.html(language)
            }
        };
        let pieces: Vec<_> = text
            .as_bytes()
            .chunks(PIECE_BYTES)
            .map(<[u8]>::to_vec)
            .collect();
        let pieces = pieces
            .into_iter()
            .map(|piece| Ok(GetReviewReportResponse { piece }));
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }

    async fn redraw_sample(
        &self,
        request: Request<RedrawSampleRequest>,
    ) -> Result<Response<RedrawSampleResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let id = LogIndex(request.into_inner().review);
        taken(&self.gate, &peer, "RedrawSample", fields.finish(Some(()))).await?;
        let drawn = self
            .gate
            .redraw_sample(&peer, &credentials, id)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(RedrawSampleResponse {
            log_size: drawn.opened.log_size,
            root_hash: data_encoding::HEXLOWER.encode(&drawn.opened.root),
            populations: drawn.populations,
            drawn: drawn.drawn.into_iter().map(redrawn).collect(),
            same: drawn.difference.is_none(),
            difference: drawn.difference.unwrap_or_default(),
        }))
    }
}

/// How much of a report goes in one message.
const PIECE_BYTES: usize = 64 * 1_024;
