//! The two engines behind one way to ask them: every statement is one text that both understand, with `$1` for its first
//! value, and every value and column has one of the few types that both have.
//!
//! SQLite is in the process and answers or fails. PostgreSQL is across a network that can swallow what is sent, so each wait
//! for it ends: the server ends a statement ([`super::postgres::STATEMENT`]), and when not even that is heard, this side gives
//! up a little later and drops the connection.

use std::pin::Pin;
use std::time::Duration;

use sqlx::postgres::{PgPool, PgRow, Postgres};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Database, Decode, Encode, Row as _, Sqlite, Type};
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt};

use super::error::StoreError;
use super::postgres;

/// How long a step of the schema may take, and a row of a long reading: the first needs a sort where the tables are large.
const LONG: Duration = Duration::from_secs(65);

/// Where statements run.
#[derive(Debug, Clone)]
pub(super) enum Engine {
    /// Embedded.
    Sqlite {
        /// One connection: SQLite has one writer at a time, and queueing here is fair where its lock is not.
        writer: SqlitePool,
        /// They see the last commit and wait for no writer.
        readers: SqlitePool,
    },
    /// A server that other daemons may use too.
    Postgres(PgPool),
}

impl Engine {
    /// Begins a change.
    ///
    /// In SQLite the write lock is taken at once: a transaction that reads first and then wants to write would fail when
    /// another program wrote in between. In PostgreSQL, READ COMMITTED: an `UPDATE ... WHERE` that waited for another's row
    /// looks at its condition anew, so of two that compare and swap one finds that it lost. Whatever reads first and writes
    /// by what it read must take the row before: by an update.
    pub(super) async fn change(&self) -> Result<Transaction, StoreError> {
        match self {
            Self::Sqlite { writer, .. } => {
                let begun = writer.begin_with("BEGIN IMMEDIATE").await?;
                Ok(Transaction::Sqlite(begun))
            }
            Self::Postgres(pool) => {
                let begin = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
                Ok(Transaction::Postgres(within(begin).await?))
            }
        }
    }

    /// Begins a reading of any length, all as of one moment.
    pub(super) async fn reading(&self) -> Result<Transaction, StoreError> {
        match self {
            Self::Sqlite { readers, .. } => Ok(Transaction::Sqlite(readers.begin().await?)),
            Self::Postgres(pool) => {
                let begin = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
                let mut begun = within(begin).await?;
                let unbounded = "SET LOCAL statement_timeout = 0";
                within(sqlx::query(unbounded).execute(&mut *begun)).await?;
                Ok(Transaction::Postgres(begun))
            }
        }
    }

    /// Whether other daemons may use it at the same time.
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Waits for what is under way, and closes; but not for ever for a server that is out of reach.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                // Last, so that it can fold the write-ahead log into the file.
                writer.close().await;
            }
            Self::Postgres(pool) => drop(timeout(postgres::ANSWER, pool.close()).await),
        }
    }
}

/// A transaction. Dropped, it is rolled back.
#[derive(Debug)]
pub(super) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    /// Durable when it returns.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(begun) => Ok(begun.commit().await?),
            Self::Postgres(begun) => within(begun.commit()).await,
        }
    }

    pub(super) async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(begun) => Ok(begun.rollback().await?),
            Self::Postgres(begun) => within(begun.rollback()).await,
        }
    }

    /// Runs a list of statements without values: a step of the schema, in the engine's own words. It may take its time.
    pub(super) async fn run(&mut self, statements: String) -> Result<(), StoreError> {
        // Made of constants of this program and nothing else.
        let statements = sqlx::raw_sql(AssertSqlSafe(statements));
        match self {
            Self::Sqlite(begun) => {
                statements.execute(&mut **begun).await?;
            }
            Self::Postgres(begun) => {
                let running = timeout(LONG, statements.execute(&mut **begun));
                let done = running.await.map_err(|_| postgres::silent())?;
                done.map_err(postgres::error)?;
            }
        }
        Ok(())
    }
}

/// Waits for PostgreSQL as long as it is worth.
pub(super) async fn within<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match timeout(postgres::ANSWER, work).await {
        Ok(answered) => answered.map_err(postgres::error),
        Err(_) => Err(postgres::silent()),
    }
}

/// Where a query may run: within a transaction, or by itself.
pub(super) enum On<'a> {
    Transaction(&'a mut Transaction),
    Engine(&'a Engine),
}

impl<'a> From<&'a mut Transaction> for On<'a> {
    fn from(transaction: &'a mut Transaction) -> Self {
        Self::Transaction(transaction)
    }
}

impl<'a> From<&'a Engine> for On<'a> {
    fn from(engine: &'a Engine) -> Self {
        Self::Engine(engine)
    }
}

/// A value of a statement.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Bytes(Vec<u8>),
    MaybeBytes(Option<Vec<u8>>),
    Number(i64),
    MaybeNumber(Option<i64>),
    Flag(bool),
}

macro_rules! values {
    ($($given:ty => $made:expr;)+) => {
        $(impl From<$given> for Value {
            fn from(value: $given) -> Self {
                $made(value.into())
            }
        })+
    };
}
values! {
    &str => Self::Text;
    &String => Self::Text;
    String => Self::Text;
    &[u8] => Self::Bytes;
    Vec<u8> => Self::Bytes;
    Option<Vec<u8>> => Self::MaybeBytes;
    i64 => Self::Number;
    Option<i64> => Self::MaybeNumber;
    bool => Self::Flag;
}

/// A statement that both engines understand, and its values.
#[derive(Debug)]
pub(super) struct Query {
    statement: &'static str,
    values: Vec<Value>,
}

/// Begins a query: `$1` in `statement` is the first value that is bound.
pub(super) const fn query(statement: &'static str) -> Query {
    Query {
        statement,
        values: Vec::new(),
    }
}

impl Query {
    /// Gives the next value.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it within a transaction; returns how many rows it changed.
    pub(super) async fn execute(self, on: &mut Transaction) -> Result<u64, StoreError> {
        match on {
            Transaction::Sqlite(begun) => {
                let done = self.bound::<Sqlite>().execute(&mut **begun).await?;
                Ok(done.rows_affected())
            }
            Transaction::Postgres(begun) => {
                let done = within(self.bound::<Postgres>().execute(&mut **begun)).await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// Every row, all of them held in memory.
    pub(super) async fn fetch_all(self, on: impl Into<On<'_>>) -> Result<Vec<Row>, StoreError> {
        match on.into() {
            On::Transaction(Transaction::Sqlite(begun)) => {
                let rows = self.bound::<Sqlite>().fetch_all(&mut **begun).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            On::Engine(Engine::Sqlite { readers, .. }) => {
                let rows = self.bound::<Sqlite>().fetch_all(readers).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            On::Transaction(Transaction::Postgres(begun)) => {
                let rows = within(self.bound::<Postgres>().fetch_all(&mut **begun)).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            On::Engine(Engine::Postgres(pool)) => {
                let rows = within(self.bound::<Postgres>().fetch_all(pool)).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The first row, of a query that has one at most.
    pub(super) async fn fetch_optional(
        self,
        on: impl Into<On<'_>>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(on).await?.into_iter().next())
    }

    /// The row of a query that always has one.
    pub(super) async fn fetch_one(self, on: impl Into<On<'_>>) -> Result<Row, StoreError> {
        let missing = || StoreError::Damaged("a row is missing".to_owned());
        self.fetch_optional(on).await?.ok_or_else(missing)
    }

    /// Row by row, so that never all are held. For a transaction of [`Engine::reading`].
    pub(super) fn fetch(self, on: &mut Transaction) -> Rows<'_> {
        Rows(match on {
            Transaction::Sqlite(begun) => {
                let rows = self.bound::<Sqlite>().fetch(&mut **begun);
                Box::pin(rows.map(|row| Ok(Row::Sqlite(row?))))
            }
            Transaction::Postgres(begun) => {
                let rows = self.bound::<Postgres>().fetch(&mut **begun);
                Box::pin(rows.map(|row| row.map(Row::Postgres).map_err(postgres::error)))
            }
        })
    }

    fn bound<DB>(self) -> sqlx::query::Query<'static, DB, DB::Arguments>
    where
        DB: Database,
        String: Encode<'static, DB> + Type<DB>,
        Vec<u8>: Encode<'static, DB> + Type<DB>,
        Option<Vec<u8>>: Encode<'static, DB> + Type<DB>,
        i64: Encode<'static, DB> + Type<DB>,
        Option<i64>: Encode<'static, DB> + Type<DB>,
        bool: Encode<'static, DB> + Type<DB>,
    {
        let query = sqlx::query::<DB>(self.statement);
        self.values
            .into_iter()
            .fold(query, |query, value| match value {
                Value::Text(text) => query.bind(text),
                Value::Bytes(bytes) => query.bind(bytes),
                Value::MaybeBytes(bytes) => query.bind(bytes),
                Value::Number(number) => query.bind(number),
                Value::MaybeNumber(number) => query.bind(number),
                Value::Flag(flag) => query.bind(flag),
            })
    }
}

/// The rows of a long reading.
pub(super) struct Rows<'a>(Pin<Box<dyn Stream<Item = Result<Row, StoreError>> + Send + 'a>>);

impl Rows<'_> {
    /// The next row.
    pub(super) async fn next(&mut self) -> Option<Result<Row, StoreError>> {
        match timeout(LONG, self.0.next()).await {
            Ok(row) => row,
            Err(_) => Some(Err(postgres::silent())),
        }
    }
}

/// One row.
#[derive(Debug)]
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// A column's value. Another type than the column has is damage: the schema is our own.
    pub(super) fn try_get<'r, T>(&'r self, column: &str) -> Result<T, StoreError>
    where
        T: Type<Sqlite> + Decode<'r, Sqlite> + Type<Postgres> + Decode<'r, Postgres>,
    {
        match self {
            Self::Sqlite(row) => Ok(row.try_get(column)?),
            Self::Postgres(row) => row.try_get(column).map_err(postgres::error),
        }
    }
}
