//! A private PostgreSQL: made for one test process, reached by a socket in a directory of its own, with `fsync` on, and gone
//! with the process, however that ends. Needs the programs of Debian's package `postgresql`; without them a test fails by
//! saying so.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

const USER: &str = "sekisho";
/// Runs the server until the test process is gone: then nobody holds the other end of what it reads. Removes everything unless
/// it is to be started again.
const KEEPER: &str = r#"
"$1/postgres" -D "$2/data" -k "$2" -c config_file="$2/data/postgresql.conf" >>"$2/log" 2>&1 &
server=$!
cat >/dev/null
kill -INT "$server"
wait "$server"
[ -e "$2/again" ] || rm -rf "$2"
"#;
const SETTINGS: &str = "
listen_addresses = ''
unix_socket_permissions = 0700
fsync = on
max_connections = 300
shared_buffers = '32MB'
max_wal_size = '64MB'
";

/// A server. Dropped, it ends.
pub struct Postgres {
    programs: PathBuf,
    home: PathBuf,
    port: Mutex<u16>,
    keeper: Mutex<Option<Child>>,
    databases: AtomicU64,
}

impl Postgres {
    /// The one that all tests of this process share, each with its own database.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::begin)
    }

    /// A new one: for tests that stop it.
    pub fn begin() -> Self {
        let programs = programs();
        // Short, since a socket's path may have about a hundred bytes.
        let home = tempfile::Builder::new()
            .prefix("sekisho-pg-")
            .tempdir_in(place())
            .unwrap()
            .keep();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
        if is_root() {
            let (user, group) = other_user();
            std::os::unix::fs::chown(&home, Some(user), Some(group)).unwrap();
        }
        let made = as_server(&programs.join("initdb"))
            .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"])
            .arg("--username")
            .arg(USER)
            .arg("--pgdata")
            .arg(home.join("data"))
            .current_dir("/")
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {made:?}");
        let settings = home.join("data/postgresql.conf");
        let mut text = std::fs::read_to_string(&settings).unwrap();
        text.push_str(SETTINGS);
        std::fs::write(&settings, text).unwrap();
        let server = Self {
            programs,
            home,
            port: Mutex::new(5_432),
            keeper: Mutex::new(None),
            databases: AtomicU64::new(0),
        };
        server.start();
        server
    }

    /// Starts it, and waits until it answers.
    pub fn start(&self) {
        let again = self.home.join("again");
        if again.exists() {
            std::fs::remove_file(again).unwrap();
        }
        let keeper = as_server(Path::new("sh"))
            .args(["-c", KEEPER, "sh"])
            .arg(&self.programs)
            .arg(&self.home)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *self.keeper.lock().unwrap() = Some(keeper);
        let until = Instant::now() + Duration::from_secs(60);
        while !self.answers() {
            assert!(Instant::now() < until, "PostgreSQL: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it at once, whoever is connected; what it holds stays.
    pub fn stop(&self) {
        std::fs::write(self.home.join("again"), []).unwrap();
        self.end();
    }

    /// Stops every process of it where it is, so that it neither answers nor closes a connection; `false` lets them go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let pid = std::fs::read_to_string(self.home.join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().to_owned();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let all = [&*pid].into_iter().chain(children.split_whitespace());
        let sent = Command::new("kill").arg(signal).args(all).status().unwrap();
        // One that ended meanwhile is as still.
        assert!(sent.code().is_some());
    }

    fn end(&self) {
        if let Some(mut keeper) = self.keeper.lock().unwrap().take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }

    /// The address of a new database.
    pub fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        format!(
            "postgres:///{name}?host={}&user={USER}",
            self.home.display()
        )
    }

    /// Has it speak TLS from its next start on, at a port of 127.0.0.1 and with a password, by this certificate and key (PEM).
    pub fn speak_tls(&self, certificate: &str, key: &str, port: u16, password: &str) {
        self.sql(
            "postgres",
            &format!("ALTER USER {USER} PASSWORD '{password}'"),
        );
        let data = self.home.join("data");
        let write = |name: &str, text: &str| {
            let path = data.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            if is_root() {
                let (user, group) = other_user();
                std::os::unix::fs::chown(&path, Some(user), Some(group)).unwrap();
            }
        };
        write("server.crt", certificate);
        write("server.key", key);
        write(
            "pg_hba.conf",
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
        );
        let mut settings = std::fs::read_to_string(data.join("postgresql.conf")).unwrap();
        settings.push_str(&format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nssl = on\n"
        ));
        write("postgresql.conf", &settings);
        *self.port.lock().unwrap() = port;
    }

    /// Runs statements in the database of an address or name; what they tell, a row a line.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let name = database.strip_prefix("postgres:///").unwrap_or(database);
        let name = name.split('?').next().unwrap();
        let done = self.psql(name).args(["-c", statements]).output().unwrap();
        assert!(done.status.success(), "{statements}: {done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn answers(&self) -> bool {
        let asked = self.psql("postgres").args(["-c", "SELECT 1"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER])
            .arg("-h")
            .arg(&self.home)
            .args(["-p", &self.port.lock().unwrap().to_string()])
            .args(["-d", database]);
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end();
    }
}

/// In memory where there is plenty: statements that wait for a busy disk would be given up, as they should be.
fn place() -> PathBuf {
    const PLENTY_KIB: u64 = 4 << 20;
    let memory = Path::new("/dev/shm");
    let spare = |name: &str, text: &str| -> Option<u64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse().ok()
    };
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let room = Command::new("df")
        .args(["-k", "--output=avail"])
        .arg(memory)
        .output();
    let room = room.map(|done| String::from_utf8_lossy(&done.stdout).into_owned());
    let room = room
        .unwrap_or_default()
        .lines()
        .nth(1)
        .and_then(|line| line.trim().parse().ok());
    let is_plenty = |kib: Option<u64>| kib.is_some_and(|kib| kib >= PLENTY_KIB);
    if is_plenty(spare("MemAvailable:", &told)) && is_plenty(room) {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// The newest that is installed.
fn programs() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|folder| {
            let version = folder.file_name().to_str()?.parse().ok()?;
            let programs = folder.path().join("bin");
            programs
                .join("initdb")
                .exists()
                .then_some((version, programs))
        })
        .collect();
    versions.sort();
    match versions.pop() {
        Some((_, programs)) => programs,
        None => panic!("PostgreSQL is missing: install the Debian package postgresql"),
    }
}

/// PostgreSQL refuses to run as root.
fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let (user, group) = other_user();
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={user}"))
        .arg(format!("--regid={group}"))
        .arg("--clear-groups")
        .arg(program);
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn other_user() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    find("postgres:").or_else(|| find("nobody:")).unwrap()
}
