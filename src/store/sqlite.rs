//! The embedded engine: SQLite in one private file.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::engine::Engine;
use super::error::StoreError;
use crate::files;

/// How long a statement waits for a lock that another program (a backup, a curious operator) holds on the file, and a
/// caller for its turn.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Readers see the last commit and wait for no writer (WAL).
const READERS: u32 = 4;
/// How long to wait before the file is asked again for what another was just doing to it.
const AGAIN: Duration = Duration::from_millis(20);

pub(super) async fn open(path: &Path, patience: Duration) -> Result<Engine, StoreError> {
    // SQLite would make it readable for whoever the umask lets; its other two files take the mode of this one.
    files::ensure_private(path)?;
    let common = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(patience)
        .foreign_keys(true)
        // What is deleted is overwritten, as far as that costs no further write.
        .pragma("secure_delete", "FAST")
        .disable_statement_logging();
    let writing = common
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let writer = connect(writing, patience).await?;
    let reading = common.pragma("query_only", "ON").row_buffer_size(1_000);
    // Connects when it is first asked: the schema comes before.
    let readers = pool(READERS, patience).connect_lazy_with(reading);
    Ok(Engine::Sqlite { writer, readers })
}

/// The one writer. SQLite answers "busy" at once, whatever its timeout, to who asks for WAL while another does: whoever
/// comes second asks again.
async fn connect(
    writing: SqliteConnectOptions,
    patience: Duration,
) -> Result<SqlitePool, StoreError> {
    let until = Instant::now() + patience;
    loop {
        match pool(1, patience)
            .connect_with(writing.clone())
            .await
            .map_err(StoreError::from)
        {
            Err(StoreError::Busy) if Instant::now() < until => tokio::time::sleep(AGAIN).await,
            connected => return connected,
        }
    }
}

fn pool(connections: u32, patience: Duration) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        // Opening a file costs more than keeping it open, and testing a connection to a file tells nothing.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                // The ping comes after any rollback that is still under way. When SQLite itself rolled back (a full disk),
                // sqlx's own rollback fails and it believes for ever that a transaction is open: begin anew instead.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}
