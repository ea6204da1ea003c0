//! As `kinds`, for the steps of a campaign of review: none is half made, whatever it dies of.

use sekisho::proto::access_service_client::AccessServiceClient;
use sekisho::proto::review_service_client::ReviewServiceClient;
use sekisho::proto::{
    AnswerQuestionRequest, AskPersonRequest, AssignItemRequest, GetItemRequest, JudgeItemRequest,
    ListItemsRequest, ListMyQuestionsRequest, ListReviewsRequest, OpenReviewRequest, Review,
    ReviewItem, ReviewItemState, SignReviewRequest,
};
use time::{Duration, OffsetDateTime, UtcOffset};
use tonic::Response;

use crate::between::with_ticket;
use crate::kinds::{Office, call, nothing};
use crate::site::check;
use crate::support::machine_now;

/// By the pack's clock, so many days ago.
fn day(ago: i64) -> String {
    let now = i64::try_from(machine_now()).unwrap();
    let now = OffsetDateTime::from_unix_timestamp(now).unwrap();
    let tokyo = UtcOffset::from_hms(9, 0, 0).unwrap();
    (now.to_offset(tokyo).date() - Duration::days(ago)).to_string()
}

async fn campaigns(office: &Office, by: &str) -> Vec<Review> {
    let list = ListReviewsRequest::default();
    let list = call!(office, ReviewServiceClient, list_reviews, by, list);
    list.unwrap().reviews
}

async fn item(office: &Office, by: &str, review: u64) -> ReviewItem {
    let get = GetItemRequest { review, item: 1 };
    let item = call!(office, ReviewServiceClient, get_item, by, get);
    item.unwrap().item.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_a_campaign() {
    let mut office = Office::open().await;
    let lead = office.log_in("security-1").await;
    let (manager, person) = (
        office.log_in("manager-1").await,
        office.log_in("adviser-1").await,
    );
    let open = async |office: &Office, (from_day, until_day): (String, String)| {
        let open = OpenReviewRequest {
            from_day,
            until_day,
            ..OpenReviewRequest::default()
        };
        call!(office, ReviewServiceClient, open_review, &lead, open).map(drop)
    };
    // Of days before there was anything: without items.
    let empty = async |_: &Office| (day(60), day(59));
    let is_open = async |office: &Office| campaigns(office, &lead).await.len() == 1;
    office
        .dies_at("a campaign", "0", empty, open, is_open)
        .await;

    AccessServiceClient::new(office.channel.clone())
        .check(check(&person, "seeker-1", 1))
        .await
        .unwrap();
    let days = async |_: &Office| (day(1), day(0));
    let has_items = async |office: &Office| {
        let all = campaigns(office, &lead).await;
        for review in &all {
            let list = ListItemsRequest {
                review: review.review,
                ..ListItemsRequest::default()
            };
            let items = call!(office, ReviewServiceClient, list_items, &lead, list);
            let found = items.unwrap().items.len();
            assert_eq!(found, usize::try_from(review.items).unwrap(), "{review:?}");
        }
        all.len() == 2
    };
    office
        .dies_at("items of a campaign", "0", days, open, has_items)
        .await;

    let review = campaigns(&office, &lead).await[0].review;
    let ask = async |office: &Office, ()| {
        let ask = AskPersonRequest {
            review,
            item: 1,
            question: "Why?".into(),
        };
        call!(office, ReviewServiceClient, ask_person, &manager, ask).map(drop)
    };
    let is_in = async |office: &Office, state: ReviewItemState| {
        item(office, &lead, review).await.state() == state
    };
    let is_asked = async |office: &Office| is_in(office, ReviewItemState::Asked).await;
    office
        .dies_at("a question", "0", nothing, ask, is_asked)
        .await;

    let question = async |office: &Office| {
        let mine = ListMyQuestionsRequest {};
        let mine = call!(
            office,
            ReviewServiceClient,
            list_my_questions,
            &person,
            mine
        );
        mine.unwrap().questions[0].question_log_index
    };
    let reply = async |office: &Office, question_log_index| {
        let answer = AnswerQuestionRequest {
            review,
            item: 1,
            question_log_index,
            answer: "They called".into(),
        };
        call!(
            office,
            ReviewServiceClient,
            answer_question,
            &person,
            answer
        )
        .map(drop)
    };
    let is_answered = async |office: &Office| is_in(office, ReviewItemState::Answered).await;
    office
        .dies_at("an answer", "0", question, reply, is_answered)
        .await;

    let assign = async |office: &Office, ()| {
        let assign = AssignItemRequest {
            review,
            item: 1,
            reviewer: "security-1".into(),
        };
        call!(office, ReviewServiceClient, assign_item, &lead, assign).map(drop)
    };
    let is_given =
        async |office: &Office| item(office, &lead, review).await.reviewer == "security-1";
    office
        .dies_at("a substitute", "0", nothing, assign, is_given)
        .await;

    let judge = async |office: &Office, ()| {
        let judge = JudgeItemRequest {
            review,
            items: vec![1],
            judgement: ReviewItemState::Justified.into(),
            why: "an interview".into(),
        };
        call!(office, ReviewServiceClient, judge_item, &lead, judge).map(drop)
    };
    let is_judged = async |office: &Office| is_in(office, ReviewItemState::Justified).await;
    office
        .dies_at("a judgement", "0", nothing, judge, is_judged)
        .await;

    let sign = async |office: &Office, ()| {
        let sign = SignReviewRequest { review };
        call!(office, ReviewServiceClient, sign_review, &lead, sign).map(drop)
    };
    let is_signed = async |office: &Office| !campaigns(office, &lead).await[0].signed_by.is_empty();
    office
        .dies_at("a signature", "0", nothing, sign, is_signed)
        .await;
    office.stop();
}
