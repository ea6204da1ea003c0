//! PostgreSQL: how it is reached, how long it may take, and what its errors mean.
//!
//! Everything is in the schema `sekisho` of the database that the address names. Settings that the promises of this room need
//! are made for each connection and don't depend on the server's: commits wait for the disk, transactions are READ COMMITTED,
//! statements and waits for locks end. What only the server decides (`fsync`) is looked at when the store is opened. A pooler
//! in between must give each client a session of its own.

use std::time::Duration;

use sqlx::postgres::{
    PgConnectOptions, PgConnection, PgDatabaseError, PgPool, PgPoolOptions, PgSslMode,
};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use super::address::{Encryption, Host, PostgresAddress};
use super::engine::Engine;
use super::error::StoreError;

/// How long a connection may take to be had.
const CONNECT: Duration = Duration::from_secs(2);
/// How long the server works on one statement, waits for a lock included.
pub(super) const STATEMENT: Duration = Duration::from_millis(2_500);
/// How long an answer is waited for on this side, the connection included.
pub(super) const ANSWER: Duration = Duration::from_secs(3);
/// How long a connection that was given back may take to show that it is in order.
const GIVEN_BACK: Duration = Duration::from_secs(1);
/// After which silence the server gives up a client that holds locks.
const SILENT_CLIENT: Duration = Duration::from_secs(10);
/// Connections of one daemon.
const CONNECTIONS: u32 = 8;

/// Opens the store on a server.
///
/// # Errors
/// When the server can't be reached, refuses, or would lose what it calls committed.
pub(super) async fn open(address: &PostgresAddress) -> Result<Engine, StoreError> {
    let options = options(address)?;
    // First by itself: the pool waits for a server that refuses, and then only says that it waited.
    let connecting = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        let fsync: String = sqlx::query_scalar("SHOW fsync")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok::<String, sqlx::Error>(fsync)
    };
    let fsync = match timeout(ANSWER, connecting).await {
        Ok(answered) => answered.map_err(error)?,
        Err(_) => return Err(silent()),
    };
    if fsync != "on" {
        return Err(StoreError::NotDurable);
    }
    Ok(Engine::Postgres(pool(options)))
}

fn pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT)
        .after_release(|connection, _| {
            Box::pin(async move {
                // The ping comes after any rollback that is still under way. A connection on which nothing is heard is
                // dropped: waiting for it would keep its place for as long as the system keeps trying, a quarter of an hour.
                match timeout(GIVEN_BACK, connection.ping()).await {
                    Ok(answered) => answered?,
                    Err(elapsed) => return Err(sqlx::Error::Io(elapsed.into())),
                }
                Ok(!connection.is_in_transaction())
            })
        })
        .connect_lazy_with(options)
}

fn options(address: &PostgresAddress) -> Result<PgConnectOptions, StoreError> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .port(address.port)
        .username(&address.user)
        .database(&address.database)
        .application_name("sekisho")
        .statement_cache_capacity(200);
    options = match &address.host {
        Host::Name(name) => options.host(name),
        Host::Socket(directory) => options.socket(directory),
    };
    options = match &address.encryption {
        Encryption::None => options.ssl_mode(PgSslMode::Disable),
        Encryption::Verified { authority } => options
            .ssl_mode(PgSslMode::VerifyFull)
            .ssl_root_cert(authority),
    };
    if let Some(password) = address.password()? {
        options = options.password(&password);
    }
    let milliseconds = |time: Duration| time.as_millis().to_string();
    Ok(options
        .options([
            ("search_path", "sekisho".to_owned()),
            ("synchronous_commit", "on".to_owned()),
            ("default_transaction_isolation", "read committed".to_owned()),
            ("statement_timeout", milliseconds(STATEMENT)),
            ("lock_timeout", milliseconds(STATEMENT)),
            (
                "idle_in_transaction_session_timeout",
                milliseconds(SILENT_CLIENT),
            ),
            ("tcp_user_timeout", milliseconds(SILENT_CLIENT)),
        ])
        .disable_statement_logging())
}

/// When nothing was heard in time.
pub(super) fn silent() -> StoreError {
    StoreError::Unreachable("the database did not answer in time".to_owned())
}

/// By SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>). The texts of these errors name hosts, users
/// and tables, never a password or a value's content: `DETAIL`, which can, is not in them.
pub(super) fn error(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::PoolTimedOut => {
            return StoreError::Unreachable("no connection could be had in time".to_owned());
        }
        sqlx::Error::PoolClosed => return StoreError::Closed,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {
            return StoreError::Unreachable(error.to_string());
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            return StoreError::Damaged(error.to_string());
        }
        _ => {}
    }
    let Some(told) = error
        .as_database_error()
        .and_then(|told| told.try_downcast_ref::<PgDatabaseError>())
    else {
        return StoreError::Engine(error);
    };
    let text = || format!("{} ({})", told.message(), told.code());
    match told.code() {
        // lock_not_available, query_canceled by a timeout, serialization_failure, deadlock_detected
        "55P03" | "57014" | "40001" | "40P01" => StoreError::Busy,
        // disk_full
        "53100" => StoreError::Full,
        // read_only_sql_transaction: a standby, or one that was made one
        "25006" => StoreError::Unreachable(text()),
        // data_corrupted, index_corrupted, and what the system said of a file
        "XX001" | "XX002" | "58030" => StoreError::Damaged(text()),
        // insufficient_privilege, invalid_catalog_name
        "42501" | "3D000" => StoreError::RefusedByServer(text()),
        code => match code.get(..2) {
            // connection exceptions, operator intervention (it stops, it starts), insufficient resources
            Some("08" | "57" | "53" | "58") => StoreError::Unreachable(text()),
            // invalid authorization
            Some("28") => StoreError::RefusedByServer(text()),
            _ => StoreError::Engine(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::engine::query;
    use crate::store::private_postgres::Postgres;
    use crate::store::tests::{Home, execute};
    use std::time::Instant;

    /// Far more than [`ANSWER`], for a busy machine; far less than what waits by itself: for ever, or for half a minute.
    const IN_TIME: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn every_connection_waits_for_the_disk_and_ends_what_takes_too_long() {
        let store = Home::postgres().open().await;
        for (setting, expected) in [
            ("synchronous_commit", "on"),
            ("default_transaction_isolation", "read committed"),
            ("statement_timeout", "2500ms"),
            ("lock_timeout", "2500ms"),
            ("idle_in_transaction_session_timeout", "10s"),
            ("search_path", "sekisho"),
        ] {
            let row = query("SELECT current_setting($1) AS setting")
                .bind(setting)
                .fetch_one(&store.engine)
                .await
                .unwrap();
            assert_eq!(
                row.try_get::<&str>("setting").unwrap(),
                expected,
                "{setting}"
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_forgets_what_it_confirmed_is_refused() {
        let server = Postgres::begin();
        let home = Home::on(&server);
        home.open().await;
        server.sql("postgres", "ALTER SYSTEM SET fsync = off");
        server.sql("postgres", "SELECT pg_reload_conf()");
        // The server takes it up when it gets to it.
        while server.sql("postgres", "SHOW fsync") != "off" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let refused = home.try_open().await.unwrap_err();
        assert!(matches!(refused, StoreError::NotDurable), "{refused}");
    }

    #[tokio::test]
    async fn a_lock_that_another_holds_is_told_after_the_wait() {
        let home = Home::postgres();
        let (store, other) = (home.open().await, home.open().await);
        let mut held = other.change().await.unwrap();
        query("UPDATE logs SET starts = starts")
            .execute(&mut held)
            .await
            .unwrap();
        let began = Instant::now();
        let refused = store.count_start().await.unwrap_err();
        assert!(matches!(refused, StoreError::Busy), "{refused:?}");
        assert!(began.elapsed() < IN_TIME);
        assert_eq!(store.starts().await.unwrap(), 0, "readers wait for nobody");
        held.rollback().await.unwrap();
        assert_eq!(store.count_start().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_server_that_is_gone_is_told_in_time_and_comes_back_by_itself() {
        let server = Postgres::begin();
        let home = Home::on(&server);
        let store = home.open().await;
        store.count_start().await.unwrap();
        server.stop();
        for _ in 0..2 {
            let began = Instant::now();
            let told = store.count_start().await.unwrap_err();
            assert!(matches!(told, StoreError::Unreachable(_)), "{told:?}");
            assert!(began.elapsed() < IN_TIME);
        }
        let told = home.try_open().await.unwrap_err();
        assert!(matches!(told, StoreError::Unreachable(_)), "{told:?}");
        server.start();
        assert_eq!(store.count_start().await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_silent_server_is_given_up_and_holds_no_place_for_ever() {
        let server = Postgres::begin();
        let store = Home::on(&server).open().await;
        store.count_start().await.unwrap();
        server.freeze(true);
        let began = Instant::now();
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..3 * CONNECTIONS {
            let store = store.clone();
            asking.spawn(async move { store.count_start().await.is_err() });
        }
        assert!(asking.join_all().await.into_iter().all(|failed| failed));
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
        server.freeze(false);
        let until = Instant::now() + Duration::from_secs(60);
        while store.count_start().await.is_err() {
            assert!(Instant::now() < until, "it does not come back");
        }
    }

    #[tokio::test]
    async fn a_server_is_believed_by_its_certificate_only() {
        let server = Postgres::begin();
        let url = server.database();
        let name = url.trim_start_matches("postgres:///").split('?').next();
        let database = name.unwrap().to_owned();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            crate::files::create_private(&folder.path().join(name), text.as_bytes()).unwrap();
        };
        write("ca.pem", &made.cert.pem());
        let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        write("other.pem", &other.cert.pem());
        write("password", "right\n");
        write("wrong", "wrong\n");
        // None of those that the system gives to whoever asks for any.
        let ports = 20_000..32_000_u16;
        let first = u16::try_from(std::process::id() % 12_000).unwrap();
        let port = (ports.clone().skip(usize::from(first)).chain(ports))
            .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .unwrap();
        let key = made.signing_key.serialize_pem();
        server.speak_tls(&made.cert.pem(), &key, port, "right");
        server.stop();
        server.start();
        let opened = async |parameters: &str, password: &str| {
            let text = format!("postgres://sekisho@127.0.0.1:{port}/{database}{parameters}");
            let file = Some(std::path::Path::new(password));
            let address = PostgresAddress::parse(&text, file, folder.path()).unwrap();
            open(&address).await
        };
        let verified = "?sslmode=verify-full&sslrootcert=ca.pem";
        opened(verified, "password").await.unwrap();
        let refused = opened(verified, "wrong").await.unwrap_err();
        assert!(
            matches!(refused, StoreError::RefusedByServer(_)),
            "{refused:?}"
        );
        let other = "?sslmode=verify-full&sslrootcert=other.pem";
        let refused = opened(other, "password").await.unwrap_err();
        assert!(matches!(refused, StoreError::Unreachable(_)), "{refused:?}");
        let refused = opened("", "password").await.unwrap_err();
        assert!(
            matches!(refused, StoreError::RefusedByServer(_)),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn neither_store_nor_place_prints_a_password() {
        let home = Home::postgres();
        let store = home.open().await;
        execute(&store, "UPDATE changes SET newest = newest").await;
        let text = "postgres://u:hidden@127.0.0.1/d";
        let address = PostgresAddress::parse(text, None, std::path::Path::new("/")).unwrap();
        let engine = Engine::Postgres(pool(options(&address).unwrap()));
        assert!(!format!("{engine:?} {address:?} {store:?}").contains("hidden"));
        // Nobody listens there, or nobody knows this user.
        let refused = open(&address).await.unwrap_err();
        assert!(!format!("{refused:?} {refused}").contains("hidden"));
        drop::<Store>(store);
    }
}
