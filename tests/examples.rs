//! The examples, run the way a user does: what they print, and how they end.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Long enough for the slowest machine; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_mins(1);

/// Far more than can be computed within the time limit of the service.
const ENDLESS: &str = "/primes/1000000000000";

/// The example that cargo has built beside this test.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("tests lie in target/PROFILE/deps");
    let program = profile.join("examples").join(name);
    assert!(
        program.exists(),
        "{name} is not built: `cargo test` does it, `cargo test --test examples` does not"
    );
    Command::new(program)
}

fn run(mut command: Command) -> Output {
    command.output().expect("the program starts")
}

/// What an example that must succeed prints.
fn lines_of(name: &str, arguments: &[&str]) -> Vec<String> {
    let mut command = example(name);
    command.args(arguments);
    let output = run(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} ended with {}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("it prints text").lines().map(str::to_owned).collect()
}

#[test]
fn quickstart_prints_what_it_computes() {
    let lines = lines_of("quickstart", &[]);
    for expected in [
        "17984 primes below 200,000",
        "the last of 1000 squares is Some(998001)",
        "168 primes below 1,000",
        "ten primes are enough",
        "the handle says so too: 168",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected:?} is not among {lines:?}");
    }
}

#[test]
fn callbacks_run_though_nobody_awaits_and_futures_combine() {
    let lines = lines_of("callbacks", &[]);
    assert_eq!(lines[0], "callback: \"42\" is 42");
    assert!(lines[1].starts_with("error callback: \"forty-two\": task callbacks::parse"), "{}", lines[1]);
    assert!(lines[1].contains("InvalidDigit"), "{}", lines[1]);
    let rest = [
        "map_ok: twice fibonacci(20) is 13530",
        "and_then: fibonacci of the parsed number is 10946",
        "try_join_all: [1, 1, 2, 3, 5, 8, 13, 21, 34, 55]",
        "select: fibonacci(25) was first with 75025",
        "or_else: 7",
    ];
    assert_eq!(lines[2..], rest);
}

// C245
#[test]
fn preload_model_has_its_model_once() {
    let lines = lines_of("preload_model", &["24", "3"]);
    assert_eq!(lines.len(), 1 + 3 + 1, "{lines:?}");
    let numbers = |line: &String| -> Vec<f64> {
        line.split_whitespace().map(|number| number.parse().expect("a table of numbers")).collect()
    };
    let mut answers = 0.0;
    for worker in lines[1..4].iter().map(numbers) {
        let [_, answered, resident, private, _] = worker[..] else { panic!("{lines:?}") };
        answers += answered;
        assert!(resident > 24.0 && private < 4.0, "{lines:?}");
    }
    assert!((answers - 9.0_f64).abs() < f64::EPSILON, "{lines:?}");
    assert!(lines[4].ends_with("the model is there once, and not 3 times."), "{lines:?}");
}

#[test]
fn stream_ends_at_the_number_it_is_given() {
    let lines = lines_of("stream", &["100000"]);
    assert_eq!(lines[0], "2 takes 1 steps");
    assert_eq!(lines[lines.len() - 2], "77031 takes 350 steps");
    assert!(lines[lines.len() - 1].starts_with("11 blocks of 10000 answered, "), "{lines:?}");
}

#[test]
fn stream_ends_well_with_ctrl_c() {
    let mut stream = Running::start("stream", &[&u64::MAX.to_string()]);
    stream.line();
    let rest = stream.end_with(Signal::INT);
    assert!(rest.contains(" read from the endless input"), "{rest}");
}

#[test]
fn crash_answers_all_documents_but_one_in_ten() {
    let expected = [
        "documents  outcome",
        "       90  answered 'd'",
        "       10  crashed with signal 11 (SIGSEGV)",
        "10 workers were lost and replaced",
    ];
    assert_eq!(lines_of("crash", &[]), expected);
}

#[test]
fn ping_pong_counts_every_ball() {
    let lines = lines_of("ping_pong", &["50"]);
    assert_eq!(lines[0], "the ball was played 100 times, Some(50) of them by pong");
    assert!(lines[1].contains(" round trips per second, "), "{}", lines[1]);
}

#[test]
fn pipeline_hashes_every_text_and_nobody_is_far_ahead() {
    let lines = lines_of("pipeline", &["40"]);
    assert!(lines[0].contains(" of 40 hashes have a byte of zero; "), "{}", lines[0]);
    for (line, name) in lines[1..].iter().zip(["make", "hash"]) {
        assert!(line.starts_with(&format!("{name}: 40 items, ")), "{line}");
        let most = line.split_once("at most ").and_then(|(_, most)| most.split(' ').next()?.parse().ok());
        assert!(most.is_some_and(|most: usize| most <= 8), "{line}");
    }
}

#[test]
fn producers_consumers_lose_at_most_the_job_of_the_one_that_is_killed() {
    let lines = lines_of("producers_consumers", &["300"]);
    let all = "600 of 600 jobs are done; lost with the consumer: 0";
    let but_one = "599 of 600 jobs are done; lost with the consumer: 1";
    assert!([all, but_one].contains(&lines[0].as_str()), "{}", lines[0]);
    assert!(lines[1].starts_with("the most divisors: Some("), "{}", lines[1]);
}

#[test]
fn shared_counter_counts_for_all_workers() {
    let lines = lines_of("shared_counter", &[]);
    assert_eq!(lines, ["63 letters in 3 texts", "t: 11", "e: 9", "o: 7"]);
}

// C226
#[cfg(feature = "net")]
#[test]
fn remote_manager_is_used_from_another_terminal() {
    let key = std::env::temp_dir().join(unique("key"));
    let key = key.to_str().expect("it is text");
    let mut serve = example("remote_manager");
    let serve = serve.args(["serve", "127.0.0.1:0", key]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut serve = serve.spawn().expect("it starts");
    let mut said = BufReader::new(serve.stdout.take().expect("it was piped")).lines();
    let said = said.next().expect("it speaks").expect("it is text");
    let address = said.strip_prefix("listening at tcp:").and_then(|said| said.split(';').next());
    let address = address.expect("it says where");
    assert_eq!(lines_of("remote_manager", &["sign", address, key, "you"]), ["visit 1", "guests: you"]);
    assert_eq!(lines_of("remote_manager", &["sign", address, key, "me"]), ["visit 2", "guests: you, me"]);
    drop(serve.stdin.take());
    assert!(serve.wait().expect("it ends").success());
    fs::remove_file(key).expect("it was written");
}

// C226
#[test]
fn job_board_coordinates_several_programs() {
    let lines = lines_of("job_board", &[]);
    assert_eq!(lines[0], "fibonacci 10 = 55");
    assert_eq!(lines[4], "fibonacci 50 = 12586269025");
    assert_eq!(lines[5..], ["5 jobs done"]);

    let path = std::env::temp_dir().join(unique("board"));
    let path = path.to_str().expect("it is text");
    let mut serve = example("job_board");
    let mut serve =
        serve.args(["serve", path]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut said = BufReader::new(serve.stdout.take().expect("it was piped")).lines();
    assert_eq!(said.next().expect("it speaks").expect("it is text"), "the board is open; Enter closes it");
    let mut work = example("job_board");
    let work = work.args(["work", path]).stdout(Stdio::piped()).spawn().expect("it starts");
    assert_eq!(lines_of("job_board", &["submit", path, "7"]), ["fibonacci 7 = 13"]);
    drop(serve.stdin.take());
    assert!(serve.wait().expect("it ends").success());
    let work = work.wait_with_output().expect("it ends with the board");
    assert_eq!(String::from_utf8_lossy(&work.stdout), "1 jobs done\n");
    assert!(!Path::new(path).exists());
}

// C004, C005, C007, C022
#[test]
fn process_starts_joins_and_terminates() {
    let expected = [
        "main: MainProcess, started by nobody",
        "greet: Process-1, started by MainProcess",
        "it said \"hello bob\"",
        "exit code Some(0)",
        "sleeper is alive: true",
        "sleeper ended with signal 15 (SIGTERM)",
        "exit code Some(-15), alive: false",
        "exit code Some(8)",
        "it panicked: attempt to divide by zero",
        "exit code Some(1)",
    ];
    assert_eq!(lines_of("process", &[]), expected);
}

/// Files with odd names and contents, gone when it is dropped.
struct Tree(PathBuf);

/// A name that nothing has, and nothing that an earlier run left behind, though that had the same process number.
fn unique(what: &str) -> String {
    format!("multiprocess-{what}-{:016x}", RandomState::new().build_hasher().finish())
}

impl Tree {
    fn empty(name: &str) -> Self {
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique(name)))
    }

    fn new(name: &str) -> Self {
        let tree = Self::empty(name);
        let odd: [&[u8]; 13] = [
            b"plain",
            b" spaces ",
            b"back\\slash",
            b"new\nline",
            b"carriage\rreturn",
            b"not \xff UTF-8",
            b"-dash",
            b"*\"'$(x)",
            "\u{fc}ml\u{e4}ut".as_bytes(),
            b"a/b/c",
            b"a-b",
            b"a.b",
            b"a\\\n\r/x\ny",
        ];
        for (length, name) in odd.into_iter().enumerate() {
            tree.write(name, &vec![b'x'; length]);
        }
        tree.write(b"blocks", &vec![7; 64 * 1024 * 2]);
        tree.write(
            b"large",
            &(0..3_000_001_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect::<Vec<_>>(),
        );
        std::os::unix::fs::symlink("plain", tree.0.join("link")).expect("links can be made");
        tree
    }

    fn write(&self, name: &[u8], content: &[u8]) {
        let path = self.0.join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().expect("it lies in the tree")).expect("directories can be made");
        fs::write(path, content).expect("files can be written");
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What `sha256sum` prints for all files below `here`, in the order of their bytes; nothing where there is none.
fn sha256sum(here: &Path) -> Option<Vec<u8>> {
    let mut find = Command::new("find");
    find.args([".", "-type", "f", "-print0"]).current_dir(here);
    let found = run(find).stdout;
    let mut paths: Vec<_> = found.split(|byte| *byte == 0).filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    let mut command = Command::new("sha256sum");
    command.arg("--").args(paths.into_iter().map(OsStr::from_bytes)).current_dir(here);
    match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Past the capture of the test harness, so that it is seen.
            let told = writeln!(std::io::stderr(), "SKIPPED: there is no `sha256sum` to compare with");
            told.expect("there is a stderr");
            None
        }
        output => Some(output.expect("sha256sum starts").stdout),
    }
}

#[test]
fn sha256_prints_the_bytes_that_sha256sum_prints() {
    let tree = Tree::new("same");
    let Some(expected) = sha256sum(&tree.0) else { return };
    assert_eq!(expected.split(|byte| *byte == b'\n').count(), 15 + 1, "all files are in it");
    let mut command = example("sha256");
    command.current_dir(&tree.0);
    let output = run(command);
    assert_eq!(output.stdout.escape_ascii().to_string(), expected.escape_ascii().to_string());
    assert_eq!(output.stderr.escape_ascii().to_string(), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn sha256_follows_a_link_that_it_is_given() {
    let tree = Tree::new("link");
    let mut command = example("sha256");
    command.arg("link").current_dir(&tree.0);
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  link\n";
    assert_eq!(String::from_utf8_lossy(&run(command).stdout), empty);
}

#[test]
fn sha256_names_what_it_cannot_read_and_hashes_the_rest() {
    let tree = Tree::new("unread");
    let mut command = example("sha256");
    // The memory of a process cannot be read at address 0, not even by root.
    command.args(["missing", "/proc/self/mem", "/dev/null", "plain"]).current_dir(&tree.0);
    let output = run(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    for start in
        ["sha256: missing: No such file", "sha256: /proc/self/mem: ", "sha256: /dev/null: not a regular"]
    {
        assert!(errors.lines().any(|line| line.starts_with(start)), "{start:?} is not in {errors}");
    }
    assert_eq!(errors.lines().count(), 3, "{errors}");
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("  plain\n"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn sha256_ends_quietly_when_nobody_reads_on() {
    let tree = Tree::new("head");
    let (reader, writer) = std::io::pipe().expect("there are descriptors left");
    drop(reader);
    let mut command = example("sha256");
    command.current_dir(&tree.0).stdout(writer).stderr(Stdio::piped());
    let output = command.spawn().and_then(Child::wait_with_output).expect("it starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn sha256_says_everything_once_though_it_ends_while_workers_start() {
    let tree = Tree::new("soon");
    for _ in 0..20 {
        let mut command = example("sha256");
        command.arg("plain").current_dir(&tree.0);
        let output = run(command);
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
    }
}

#[test]
fn sha256_takes_names_of_any_bytes_as_arguments() {
    let tree = Tree::new("bytes");
    let name = OsString::from_vec(b"not \xff UTF-8".to_vec());
    let mut command = example("sha256");
    command.arg(&name).current_dir(&tree.0);
    assert!(run(command).stdout.ends_with(b"  not \xff UTF-8\n"));
}

/// True if the table of `threads_vs_processes` has this row, with a number in each of its columns.
fn has_row(table: &[String], work: &str, runner: &str, workers: u32) -> bool {
    let start = format!("{work:<17} {runner:<24} {workers:>7} ");
    let numbers = |rest: &str| rest.split_whitespace().map(str::parse::<f64>).collect::<Result<Vec<_>, _>>();
    let rows: Vec<_> = table.iter().filter_map(|line| line.strip_prefix(&start)).map(numbers).collect();
    let [Ok(row)] = &rows[..] else { return false };
    let [wall, cpu, speed_up, memory] = row[..] else { return false };
    wall > 0.0 && cpu >= 0.0 && speed_up > 0.0 && memory > 0.0
}

#[test]
fn threads_vs_processes_prints_all_rows_and_draws_both_charts() {
    let folder = Tree::empty("charts");
    let path = folder.0.to_str().expect("it is text");
    let table = lines_of("threads_vs_processes", &["--tasks", "2", "--out", path]);
    for work in ["CPU-bound", "I/O-bound", "memory-bound", "allocation-heavy"] {
        assert!(has_row(&table, work, "serial", 1), "{work} has no serial row in {table:#?}");
        for runner in ["spawn_blocking", "ThreadPool", "ProcessPool, spawn", "ProcessPool, forkserver"] {
            for workers in [1, 2, 4] {
                let row = has_row(&table, work, runner, workers);
                assert!(row, "no row of {work} for {runner} with {workers} workers in {table:#?}");
            }
        }
    }
    let read = |kind| fs::read(folder.0.join(format!("threads_vs_processes.{kind}"))).expect("it is drawn");
    let text = String::from_utf8(read("svg")).expect("it is text");
    assert!(text.contains("allocation-heavy") && text.trim_end().ends_with("</svg>"), "{text}");
    let pixels = read("png");
    assert!(pixels.starts_with(b"\x89PNG\r\n") && pixels.ends_with(b"IEND\xae\x42\x60\x82"), "it is whole");
    assert!(pixels.len() > 10_000, "a white picture has {} bytes", pixels.len());
}

#[test]
fn shared_histogram_counts_every_digit_once() {
    let lines = lines_of("shared_histogram", &["200"]);
    assert_eq!(lines[0], "2^0 to 2^199 have 6091 digits, the longest 60");
    let counts =
        lines[1..].iter().map(|line| line.split_whitespace().nth(1).and_then(|count| count.parse().ok()));
    let counts: Vec<u64> = counts.map(|count| count.expect("a digit and a count")).collect();
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (10, 6091), "{lines:?}");
}

#[test]
fn mandelbrot_fills_every_row_of_its_picture() {
    let folder = Tree::empty("mandelbrot");
    fs::create_dir_all(&folder.0).expect("a directory can be made");
    let path = folder.0.join("picture.png");
    let lines = lines_of("mandelbrot", &[path.to_str().expect("it is text"), "120"]);
    assert!(lines[0].starts_with("90 rows by ") && lines[1].starts_with("120 x 90 pixels in "), "{lines:?}");
    let file = BufReader::new(fs::File::open(&path).expect("it is written"));
    let mut reader = png::Decoder::new(file).read_info().expect("it is a picture");
    let mut pixels = vec![0; reader.output_buffer_size().expect("it is small")];
    reader.next_frame(&mut pixels).expect("it is whole");
    let pixel = |x: usize, y: usize| &pixels[(y * 120 + x) * 4..][..4];
    assert!(pixels.chunks(4).all(|pixel| pixel[3] == 255), "no pixel was left out");
    assert_eq!(pixel(85, 45), [0, 0, 0, 255], "the middle of the set is black");
    assert!(pixels.chunks(4).collect::<std::collections::BTreeSet<_>>().len() > 100, "it has many colours");
    assert!((0..45).all(|y| (0..120).all(|x| pixel(x, y) == pixel(x, 89 - y))), "it is symmetrical");
}

#[test]
fn broadcast_finds_the_same_either_way() {
    let lines = lines_of("broadcast", &["1000", "5"]);
    assert!(lines[0].starts_with("5 calls with a table of 1000 words each: "), "{lines:?}");
    assert!(lines[1].starts_with("with the table sent once, in "), "{lines:?}");
    assert_eq!(lines[2], format!("the sum of all is {}", (0..5).map(|n| 10 * n + 45).sum::<u64>()));
}

/// An example that goes on until it is told to end.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = example(name);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it prints text");
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is not reaped yet");
    }

    /// Sends the signal, sees it end with success, and returns the rest of what it printed.
    fn end_with(mut self, signal: Signal) -> String {
        self.signal(signal);
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("it prints text");
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "it ended with {status}");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only a test that fails leaves it running.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

struct Service {
    running: Running,
    address: String,
}

impl Service {
    fn start() -> Self {
        let mut running = Running::start("web_server", &["127.0.0.1:0"]);
        let line = running.line();
        let address = line.strip_prefix("listening on http://").expect("it says where it listens").to_owned();
        Self { running, address }
    }

    fn send(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("it reads");
        stream
    }

    /// Status and body.
    fn get(&self, path: &str) -> (u16, String) {
        receive(self.send(path))
    }

    /// Asks for the statistics until they have the line.
    fn wait_for(&self, line: &str) {
        let since = Instant::now();
        while !self.get("/stats").1.lines().any(|have| have.trim() == line) {
            assert!(since.elapsed() < PATIENCE, "the statistics never have the line {line:?}");
        }
    }
}

fn receive(mut stream: TcpStream) -> (u16, String) {
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it answers in time");
    let (head, body) = response.split_once("\r\n\r\n").expect("a response has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a response has a status"), body.to_owned())
}

#[test]
fn web_server_answers_also_after_slow_requests_and_crashes() {
    let service = Service::start();
    assert_eq!(service.get("/primes/100"), (200, "25\n".into()));
    assert_eq!(service.get(ENDLESS), (504, "deadline has elapsed\n".into()));
    let (status, text) = service.get("/crash");
    assert_eq!(status, 502);
    assert!(text.contains("SIGABRT"), "{text}");
    assert_eq!(service.get("/primes/100"), (200, "25\n".into()));
    service.wait_for("cancelled: 1,");
}

#[test]
fn web_server_refuses_what_it_has_no_room_for() {
    let service = Service::start();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let requests: Vec<_> = (0..4 * cores + 40).map(|_| service.send(ENDLESS)).collect();
    let statuses: Vec<_> = requests.into_iter().map(|request| receive(request).0).collect();
    assert!(statuses.iter().all(|status| [503, 504].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&503), "none was refused: {statuses:?}");
    assert!(statuses.contains(&504), "all were refused: {statuses:?}");
    assert_eq!(service.get("/primes/100"), (200, "25\n".into()));
}

#[test]
fn web_server_cancels_the_call_of_a_client_that_went_away() {
    let service = Service::start();
    let request = service.send(ENDLESS);
    service.wait_for("running: 1,");
    drop(request);
    service.wait_for("cancelled: 1,");
    service.wait_for("running: 0,");
}

#[test]
fn web_server_answers_what_is_under_way_before_it_ends() {
    let service = Service::start();
    let request = service.send(ENDLESS);
    service.wait_for("running: 1,");
    let rest = service.running.end_with(Signal::TERM);
    assert_eq!(rest, "all requests are answered\n");
    assert_eq!(receive(request).0, 504);
}
