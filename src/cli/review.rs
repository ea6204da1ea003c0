//! `sekisho review`: what a security manager does every month, and what people are asked in it.

use std::path::PathBuf;

use super::client::{Asking, Connection};
use super::error::CliError;
use super::login::say;
use super::output::{Destination, print};
use super::review_output as output;
use super::sessions::time;
use super::words::{Language, Word};
use crate::proto::review_service_client::ReviewServiceClient;
use crate::proto::{
    AnswerQuestionRequest, AskPersonRequest, AssignItemRequest, GetItemRequest,
    GetReviewReportRequest, GetReviewRequest, JudgeItemRequest, ListItemsRequest,
    ListMyQuestionsRequest, ListReviewsRequest, OpenReviewRequest, RedrawSampleRequest,
    ReviewItemState, ReviewKind, ReviewReportFormat, SignReviewRequest,
};

type Client = ReviewServiceClient<tonic::transport::Channel>;

#[derive(Debug, clap::Subcommand)]
pub(super) enum ReviewCommand {
    /// Campaigns, the newest first
    List(ListArgs),
    /// Open a campaign: its scope is fixed, its items are found, drawn and assigned (for who reviews everything)
    Open(OpenArgs),
    /// One campaign
    Show(OneArgs),
    /// Items of a campaign
    Items(ItemsArgs),
    /// One item, with what was asked and answered
    Item(ItemArgs),
    /// Ask the person of an item
    Ask(AskArgs),
    /// What you are asked yourself
    Questions(QuestionsArgs),
    /// Answer what you are asked
    Answer(AnswerArgs),
    /// Judge an item; several at once only where each was drawn and nothing stood out in it
    Judge(JudgeArgs),
    /// Give an item to another reviewer
    Assign(AssignArgs),
    /// Sign a campaign whose items are all judged: log in again first, the second step must be of the last five minutes
    Sign(OneArgs),
    /// The report: a page that prints, CSV or JSON
    Report(ReportArgs),
    /// Draw the sample anew from nothing but the log, and compare
    Redraw(OneArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only those that are not signed
    #[arg(long)]
    open: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct OpenArgs {
    /// The first day, by the pack's clock
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// The last day
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
    /// Of who has which role, instead of accesses
    #[arg(long)]
    roles: bool,
    /// Only people of this department; can be given several times
    #[arg(long = "department", value_name = "ID")]
    departments: Vec<String>,
    /// How many days from now it is due in [default: 14]
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 0,
        hide_default_value = true
    )]
    due_in: u32,
    /// The sample: with this probability … [default: 95]
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 0,
        hide_default_value = true
    )]
    confidence: u32,
    /// … a misuse in this share of days is in it [default: 5]
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 0,
        hide_default_value = true
    )]
    rate: u32,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct OneArgs {
    /// The campaign's number
    #[arg(value_name = "CAMPAIGN")]
    review: u64,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct ItemsArgs {
    /// The campaign's number
    #[arg(value_name = "CAMPAIGN")]
    review: u64,
    /// Only those assigned to you
    #[arg(long)]
    mine: bool,
    /// Only those that are not judged
    #[arg(long)]
    open: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct ItemArgs {
    /// The campaign's number
    #[arg(value_name = "CAMPAIGN")]
    review: u64,
    /// The item's number
    #[arg(value_name = "ITEM")]
    item: u32,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct AskArgs {
    /// The campaign's number
    #[arg(value_name = "CAMPAIGN")]
    review: u64,
    /// The item's number
    #[arg(value_name = "ITEM")]
    item: u32,
    /// What is asked; sealed in the log
    #[arg(long, value_name = "TEXT")]
    question: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct QuestionsArgs {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct AnswerArgs {
    /// The campaign's number
    #[arg(value_name = "CAMPAIGN")]
    review: u64,
    /// The item's number
    #[arg(value_name = "ITEM")]
    item: u32,
    /// The question's number, as `sekisho review questions` tells it
    #[arg(long, value_name = "NUMBER")]
    question: u64,
    /// The answer; sealed in the log
    #[arg(long, value_name = "TEXT")]
    answer: String,
    #[command(flatten)]
    connection: Connection,
}

/// How an item is judged.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum As {
    /// In order
    Justified,
    /// Not in order: an incident follows
    Misuse,
    /// Nobody but the person themself could look at it
    SelfUnreviewed,
    /// The role stays
    Keep,
    /// The role is to be changed
    Change,
    /// The role is to be taken away
    Remove,
}

#[derive(Debug, clap::Args)]
pub(super) struct JudgeArgs {
    /// The campaign's number
    #[arg(value_name = "CAMPAIGN")]
    review: u64,
    /// The numbers of items
    #[arg(value_name = "ITEM", required = true)]
    items: Vec<u32>,
    /// How
    #[arg(long = "as", value_enum)]
    judged: As,
    /// Why; sealed in the log
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct AssignArgs {
    /// The campaign's number
    #[arg(value_name = "CAMPAIGN")]
    review: u64,
    /// The item's number
    #[arg(value_name = "ITEM")]
    item: u32,
    /// Who looks at it
    #[arg(long, value_name = "PERSON")]
    to: String,
    #[command(flatten)]
    connection: Connection,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A page that prints, in --lang
    Html,
    /// A line for each item
    Csv,
    /// One object
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// The campaign's number
    #[arg(value_name = "CAMPAIGN")]
    review: u64,
    /// How it is written
    #[arg(long, value_enum, default_value = "html")]
    format: Format,
    /// The file to make, mode 0600; it is there when it is whole [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs a command.
///
/// # Errors
/// When nobody is logged in, or the daemon can't be reached or refuses.
pub(super) async fn run(command: ReviewCommand) -> Result<(), CliError> {
    match command {
        ReviewCommand::List(args) => list(args).await,
        ReviewCommand::Open(args) => open(args).await,
        ReviewCommand::Show(args) => show(args).await,
        ReviewCommand::Items(args) => items(args).await,
        ReviewCommand::Item(args) => item(args).await,
        ReviewCommand::Ask(args) => ask(args).await,
        ReviewCommand::Questions(args) => questions(args).await,
        ReviewCommand::Answer(args) => answer(args).await,
        ReviewCommand::Judge(args) => judge(args).await,
        ReviewCommand::Assign(args) => assign(args).await,
        ReviewCommand::Sign(args) => sign(args).await,
        ReviewCommand::Report(args) => report(args).await,
        ReviewCommand::Redraw(args) => redraw(args).await,
    }
}

async fn asking(connection: &Connection) -> Result<Asking<Client>, CliError> {
    Asking::open(connection, Client::new).await
}

/// Says where the entry of what was done is.
fn done(word: Word, log_index: u64, language: Language) -> Result<(), CliError> {
    print(&[word.fill(language, &[&log_index.to_string()])], language)
}

async fn list(args: ListArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let mut request = ListReviewsRequest {
        open_only: args.open,
        page_size: 200,
        page_token: String::new(),
    };
    let mut reviews = Vec::new();
    loop {
        let answer = asking
            .service
            .list_reviews(asking.request(request.clone())?);
        let page = asking.target.answer(answer).await?.into_inner();
        reviews.extend(page.reviews);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let lines = if args.json {
        reviews
            .iter()
            .map(|review| output::review_json(review).to_string())
            .collect()
    } else if reviews.is_empty() {
        vec![Word::ReviewNone.text(language).to_owned()]
    } else {
        output::reviews(&reviews, language)
    };
    print(&lines, language)
}

async fn open(args: OpenArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let kind = if args.roles {
        ReviewKind::Entitlement
    } else {
        ReviewKind::Access
    };
    let request = asking.request(OpenReviewRequest {
        kind: kind.into(),
        from_day: args.from.unwrap_or_default(),
        until_day: args.until.unwrap_or_default(),
        departments: args.departments,
        due_in_days: args.due_in,
        confidence_percent: args.confidence,
        rate_percent: args.rate,
    })?;
    let answer = asking.service.open_review(request);
    let opened = asking.target.answer(answer).await?.into_inner();
    let review = opened.review.unwrap_or_default();
    if args.json {
        return print(&[output::review_json(&review).to_string()], language);
    }
    let values = [
        review.review.to_string(),
        review.items.to_string(),
        time(review.due_at.as_ref()).unwrap_or_default(),
    ];
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    print(&[Word::ReviewOpened.fill(language, &values)], language)
}

async fn show(args: OneArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let request = asking.request(GetReviewRequest {
        review: args.review,
    })?;
    let answer = asking.service.get_review(request);
    let found = asking.target.answer(answer).await?.into_inner();
    let review = found.review.unwrap_or_default();
    let lines = if args.json {
        vec![output::review_json(&review).to_string()]
    } else {
        output::review(&review, language)
    };
    print(&lines, language)
}

async fn items(args: ItemsArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let mut request = ListItemsRequest {
        review: args.review,
        mine: args.mine,
        open_only: args.open,
        page_size: 500,
        ..ListItemsRequest::default()
    };
    let mut items = Vec::new();
    loop {
        let answer = asking.service.list_items(asking.request(request.clone())?);
        let page = asking.target.answer(answer).await?.into_inner();
        items.extend(page.items);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let lines = if args.json {
        items
            .iter()
            .map(|item| output::item_json(item).to_string())
            .collect()
    } else if items.is_empty() {
        vec![Word::ReviewNoItems.text(language).to_owned()]
    } else {
        output::items(&items, language)
    };
    print(&lines, language)
}

async fn item(args: ItemArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let request = asking.request(GetItemRequest {
        review: args.review,
        item: args.item,
    })?;
    let answer = asking.service.get_item(request);
    let found = asking.target.answer(answer).await?.into_inner();
    let item = found.item.unwrap_or_default();
    let lines = if args.json {
        vec![output::item_json(&item).to_string()]
    } else {
        output::item(&item, language)
    };
    print(&lines, language)
}

async fn ask(args: AskArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let request = asking.request(AskPersonRequest {
        review: args.review,
        item: args.item,
        question: args.question,
    })?;
    let answer = asking.service.ask_person(request);
    let index = asking.target.answer(answer).await?.into_inner().log_index;
    done(Word::ReviewAsked, index, asking.language)
}

async fn questions(args: QuestionsArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let request = asking.request(ListMyQuestionsRequest {})?;
    let answer = asking.service.list_my_questions(request);
    let questions = asking.target.answer(answer).await?.into_inner().questions;
    let lines = if args.json {
        questions
            .iter()
            .map(|question| output::question_json(question).to_string())
            .collect()
    } else if questions.is_empty() {
        vec![Word::ReviewNoQuestions.text(language).to_owned()]
    } else {
        questions
            .iter()
            .map(|question| output::question(question, language))
            .collect()
    };
    print(&lines, language)
}

async fn answer(args: AnswerArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let request = asking.request(AnswerQuestionRequest {
        review: args.review,
        item: args.item,
        question_log_index: args.question,
        answer: args.answer,
    })?;
    let answer = asking.service.answer_question(request);
    let index = asking.target.answer(answer).await?.into_inner().log_index;
    done(Word::ReviewAnswered, index, asking.language)
}

async fn judge(args: JudgeArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let judgement = match args.judged {
        As::Justified => ReviewItemState::Justified,
        As::Misuse => ReviewItemState::Misuse,
        As::SelfUnreviewed => ReviewItemState::SelfUnreviewed,
        As::Keep => ReviewItemState::Keep,
        As::Change => ReviewItemState::Change,
        As::Remove => ReviewItemState::Remove,
    };
    let request = asking.request(JudgeItemRequest {
        review: args.review,
        items: args.items,
        judgement: judgement.into(),
        why: args.why,
    })?;
    let answer = asking.service.judge_item(request);
    let index = asking.target.answer(answer).await?.into_inner().log_index;
    done(Word::ReviewJudged, index, asking.language)
}

async fn assign(args: AssignArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let request = asking.request(AssignItemRequest {
        review: args.review,
        item: args.item,
        reviewer: args.to.clone(),
    })?;
    let answer = asking.service.assign_item(request);
    let index = asking.target.answer(answer).await?.into_inner().log_index;
    let words = Word::ReviewAssigned.fill(language, &[&args.to, &index.to_string()]);
    print(&[words], language)
}

async fn sign(args: OneArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let request = asking.request(SignReviewRequest {
        review: args.review,
    })?;
    let answer = asking.service.sign_review(request);
    let signed = asking.target.answer(answer).await?.into_inner();
    let line = if args.json {
        serde_json::json!({
            "logIndex": signed.log_index.to_string(),
            "reportDigest": signed.report_digest,
        })
        .to_string()
    } else {
        let (number, index) = (args.review.to_string(), signed.log_index.to_string());
        Word::ReviewSigned.fill(language, &[&number, &index, &signed.report_digest])
    };
    print(&[line], language)
}

async fn report(args: ReportArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let format = match args.format {
        Format::Html => ReviewReportFormat::Html,
        Format::Csv => ReviewReportFormat::Csv,
        Format::Json => ReviewReportFormat::Json,
    };
    let spoken = match language {
        Language::English => "en",
        Language::Japanese => "ja",
    };
    let request = asking.request(GetReviewReportRequest {
        review: args.review,
        format: format.into(),
        language: spoken.to_owned(),
    })?;
    let answer = asking.service.get_review_report(request);
    let mut pieces = asking.target.answer(answer).await?.into_inner();
    let mut bytes = Vec::new();
    // Held until it is whole: a piece may end within a character.
    while let Some(piece) = asking.target.answer(pieces.message()).await? {
        bytes.extend(piece.piece);
    }
    let mut out = Destination::open(args.output.as_deref())?;
    out.write(&String::from_utf8_lossy(&bytes), language)?;
    out.finish(language)?;
    if let Some(path) = &args.output {
        let values = [path.to_string_lossy().into_owned(), args.review.to_string()];
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        say(&Word::ReviewReportWritten.fill(language, &values));
    }
    Ok(())
}

async fn redraw(args: OneArgs) -> Result<(), CliError> {
    let mut asking = asking(&args.connection).await?;
    let language = asking.language;
    let request = asking.request(RedrawSampleRequest {
        review: args.review,
    })?;
    let answer = asking.service.redraw_sample(request);
    let drawn = asking.target.answer(answer).await?.into_inner();
    let lines = if args.json {
        vec![output::redrawn_json(&drawn).to_string()]
    } else {
        output::redrawn(&drawn, language)
    };
    print(&lines, language)
}
