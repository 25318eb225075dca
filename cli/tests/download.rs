//! `ecgpu download` from a local server, which answers correctly or with faults.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use ecgpu::{
    ErrorKind, Result,
    dataset::{
        SamplingRate, check,
        download::{Event, Options, Summary, ptb_xl},
    },
};
use ecgpu_testing::{
    ptb_xl::PtbXl,
    site::{Fault, Page, Request, Site},
};
use tempfile::TempDir;

struct Server {
    url: String,
    site: Site,
}

impl Server {
    /// Starts a server of `copy` with checksums and a record list like PhysioNet's.
    fn of(copy: &PtbXl) -> Self {
        let site = Site::new();
        for file in copy.files() {
            site.put(format!("/files/{file}"), Page::new(fs::read(copy.path().join(file)).unwrap()));
        }
        // Listed with a wrong checksum, as a copy at 100 Hz does not need it.
        let sums = format!("{}{} records500/00000/00001_hr.dat\n", copy.checksums(), "0".repeat(64));
        site.put("/files/SHA256SUMS.txt", Page::new(sums));
        Self { url: format!("{}/files/", site.url), site }
    }

    fn faults(&self, path: &str, faults: &[Fault]) {
        self.site.faults(&format!("/files/{path}"), faults);
    }

    /// Returns path and first byte of the requests since the last call.
    fn requests(&self) -> Vec<(String, usize)> {
        let of = |request: Request| (request.path.trim_start_matches("/files/").to_string(), request.start);
        self.site.requests().into_iter().map(of).collect()
    }

    /// Returns the first bytes of the requests for one file since the last call.
    fn requests_for(&self, path: &str) -> Vec<usize> {
        self.requests().into_iter().filter(|(asked, _)| asked == path).map(|(_, start)| start).collect()
    }

    fn options(&self) -> Options {
        let pause = Duration::from_millis(1);
        Options { url: self.url.clone(), pause, timeout: Duration::from_millis(300), attempts: 4, ..Options::default() }
    }

    fn fetch(&self, folder: &Path) -> Result<Summary> {
        ptb_xl(folder, &self.options(), &|_| ())
    }
}

const DATABASE: &str = "ptbxl_database.csv";
const SAMPLES: &str = "records100/00000/00002_lr.dat";

/// Asserts that `folder` holds the files of `copy` and no others.
fn assert_complete(folder: &Path, copy: &PtbXl) {
    for file in copy.files() {
        assert!(fs::read(folder.join(&file)).unwrap() == fs::read(copy.path().join(&file)).unwrap(), "{file}");
    }
    assert_no_partials(folder);
    let report = check(folder, SamplingRate::Hz100, &|_, _| ()).unwrap();
    assert_eq!((report.problems, report.checksums), (Vec::new(), Some(copy.files().len())));
}

fn assert_no_partials(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        assert!(!entry.to_string_lossy().ends_with(".partial"), "{}", entry.display());
        if entry.is_dir() {
            assert_no_partials(&entry);
        }
    }
}

#[test]
fn all_files_are_downloaded_and_a_second_run_fetches_none() {
    let (copy, folder) = (PtbXl::new(12), TempDir::new().unwrap());
    let server = Server::of(&copy);
    let target = folder.path().join("a/new/folder");
    assert_eq!(server.fetch(&target), Ok(Summary { fetched: 26, present: 0 }));
    assert_complete(&target, &copy);
    assert_eq!(server.requests().len(), 27);
    assert_eq!(server.fetch(&target), Ok(Summary { fetched: 0, present: 26 }));
    assert_eq!(server.requests(), [("SHA256SUMS.txt".into(), 0)]);
    // A damaged file is fetched again, and only that one.
    fs::write(target.join(SAMPLES), "damaged").unwrap();
    assert_eq!(server.fetch(&target), Ok(Summary { fetched: 1, present: 25 }));
    assert_complete(&target, &copy);
}

#[test]
fn a_download_resumes_where_the_connection_broke() {
    let (copy, folder) = (PtbXl::new(4), TempDir::new().unwrap());
    let server = Server::of(&copy);
    server.faults("SHA256SUMS.txt", &[Fault::Drop(200), Fault::Drop(0)]);
    server.faults(SAMPLES, &[Fault::Drop(7000), Fault::Drop(0), Fault::Drop(1), Fault::Stall(6000)]);
    assert_eq!(server.fetch(folder.path()), Ok(Summary { fetched: 10, present: 0 }));
    assert_complete(folder.path(), &copy);
    assert_eq!(server.requests_for(SAMPLES), [0, 7000, 7000, 7001, 13_001]);
}

#[test]
fn a_part_of_an_earlier_run_is_completed_and_a_foreign_part_replaced() {
    let (copy, folder) = (PtbXl::new(4), TempDir::new().unwrap());
    let server = Server::of(&copy);
    let whole = fs::read(copy.path().join(DATABASE)).unwrap();
    let part = folder.path().join(format!("{DATABASE}.partial"));
    for (held, requests) in [
        (whole[..100].to_vec(), vec![100]),
        (whole.clone(), vec![whole.len()]),
        (b"foreign".to_vec(), vec![7, 0]),
        (vec![0; whole.len() + 5], vec![whole.len() + 5, 0]),
    ] {
        fs::write(&part, held).unwrap();
        let _ = fs::remove_file(folder.path().join(DATABASE));
        server.fetch(folder.path()).unwrap();
        assert_complete(folder.path(), &copy);
        assert_eq!(server.requests_for(DATABASE), requests);
    }
}

#[test]
fn a_server_without_ranges_sends_the_file_from_its_beginning() {
    let (copy, folder) = (PtbXl::new(4), TempDir::new().unwrap());
    let server = Server::of(&copy);
    server.faults(SAMPLES, &[Fault::Drop(7000), Fault::IgnoreRange]);
    server.faults(DATABASE, &[Fault::Drop(90), Fault::OtherPart]);
    server.fetch(folder.path()).unwrap();
    assert_complete(folder.path(), &copy);
}

#[test]
fn a_file_with_wrong_bytes_is_not_kept_and_the_others_are() {
    let (copy, folder) = (PtbXl::new(4), TempDir::new().unwrap());
    let server = Server::of(&copy);
    server.faults(DATABASE, &[Fault::WrongBytes]);
    server.faults(SAMPLES, &[Fault::WrongBytes, Fault::WrongBytes]);
    let error = server.fetch(folder.path()).unwrap_err();
    let expected = format!("{SAMPLES}: its checksum is not that of SHA256SUMS.txt");
    assert!(error.kind() == ErrorKind::Download && error.cause().contains(&expected), "{error}");
    assert!(!folder.path().join(SAMPLES).exists());
    assert_eq!(server.fetch(folder.path()), Ok(Summary { fetched: 1, present: 9 }));
    assert_complete(folder.path(), &copy);
}

#[test]
fn a_busy_server_is_asked_again_and_a_missing_file_named() {
    let (copy, folder) = (PtbXl::new(14), TempDir::new().unwrap());
    let server = Server::of(&copy);
    server.faults(DATABASE, &[Fault::Status(503), Fault::Status(429)]);
    let waits = Mutex::new(Vec::new());
    let listener = |event: Event<'_>| {
        if let Event::Waiting { error, .. } = event {
            waits.lock().unwrap().push(error.cause().to_string());
        }
    };
    ptb_xl(folder.path(), &server.options(), &listener).unwrap();
    let waits = waits.into_inner().unwrap();
    assert!(waits.len() == 2 && waits[0].contains("the server answers 503"), "{waits:?}");
    for row in &copy.rows[1..3] {
        fs::remove_file(folder.path().join(&row.path).with_extension("dat")).unwrap();
        server.site.pages().pages.remove(&format!("/files/{}.dat", row.path));
    }
    let text = server.fetch(folder.path()).unwrap_err().to_string();
    assert!(text.contains("2 problems: ") && text.contains("00003_lr.dat: the server answers 404"), "{text}");
    // Where all files are missing, ten are named.
    server.site.pages().pages.retain(|path, _| !path.starts_with("/files/records100"));
    server.requests();
    let text = server.fetch(TempDir::new().unwrap().path()).unwrap_err().to_string();
    assert!(text.matches("answers 404").count() == 10 && server.requests().len() < 30, "{text}");
}

#[test]
fn a_server_that_is_missing_silent_or_wrong_is_explained() {
    let (copy, folder) = (PtbXl::new(2), TempDir::new().unwrap());
    let server = Server::of(&copy);
    let refused = |options: Options| ptb_xl(folder.path(), &options, &|_| ()).unwrap_err();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refused(Options { url: format!("http://{port}/files"), ..server.options() });
    assert!(error.cause().contains("SHA256SUMS.txt: ") && error.cause().contains("refused"), "{error}");
    assert!(error.remedy().ends_with("start the download again: it resumes where it stopped"), "{error}");
    let error = refused(Options { url: "https://nowhere.invalid/files".into(), ..server.options() });
    assert!(error.remedy().starts_with("check the network"), "{error}");
    server.faults("SHA256SUMS.txt", &[Fault::Stall(0); 4]);
    let error = refused(server.options());
    assert!(error.cause().contains("timeout") && server.requests().len() == 4, "{error}");
    for page in ["<!doctype html>", "", &format!("{} other.txt", "0".repeat(64))] {
        server.site.put("/files/SHA256SUMS.txt", Page::new(page));
        let error = refused(server.options());
        assert_eq!(error.remedy(), "check that the URL is that of PTB-XL's files", "{error}");
    }
    for url in ["", "ftp://physionet.org", "http://", "http://a b/"] {
        let error = refused(Options { url: url.into(), ..server.options() });
        assert!([ErrorKind::Usage, ErrorKind::Download].contains(&error.kind()), "'{url}': {error}");
    }
    assert_eq!(refused(Options { connections: 0, ..server.options() }).kind(), ErrorKind::Usage);
}

/// Every write to /dev/full fails like on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_download_with_an_explanation() {
    let (copy, folder) = (PtbXl::new(4), TempDir::new().unwrap());
    let server = Server::of(&copy);
    fs::create_dir_all(folder.path().join("records100/00000")).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join(format!("{SAMPLES}.partial"))).unwrap();
    let error = server.fetch(folder.path()).unwrap_err();
    assert!(error.kind() == ErrorKind::File && error.cause().contains(SAMPLES), "{error}");
    assert!(error.remedy().contains("the disk is full") && error.remedy().contains("resumes where"), "{error}");
}

#[test]
fn a_killed_download_resumes_without_loss() {
    let (copy, folder) = (PtbXl::new(4), TempDir::new().unwrap());
    let server = Server::of(&copy);
    server.faults(SAMPLES, &[Fault::Stall(9000)]);
    let target = folder.path().to_str().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecgpu"));
    command.args(["download", "ptb-xl", target, "--url", &server.url, "--connections", "1"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let part = folder.path().join(format!("{SAMPLES}.partial"));
    let start = Instant::now();
    while part.metadata().map_or(0, |part| part.len()) < 9000 {
        assert!(start.elapsed() < Duration::from_secs(60), "the part never came");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    server.requests();
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    // Both tables, one record and a header precede the file that stalled.
    assert!(stdout.contains("5 files fetched") && stdout.contains("5 there already, every checksum right"), "{stdout}");
    assert_eq!(server.requests_for(SAMPLES), [9000]);
    assert_complete(folder.path(), &copy);
}

#[test]
fn the_command_exits_with_1_or_2_and_one_line() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ecgpu")).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let folder = TempDir::new().unwrap();
    let target = folder.path().to_str().unwrap();
    let (code, stderr) = run(&["download", "ptb-xl", target, "--url", "nonsense"]);
    assert_eq!((code, stderr.lines().count()), (2, 1), "{stderr}");
    let (code, stderr) = run(&["download", "mimic", target]);
    assert!(code == 2 && stderr.contains("ptb-xl"), "{stderr}");
    let (code, stderr) = run(&["download", "ptb-xl", target, "--sampling-rate", "250"]);
    assert!(code == 2 && stderr.contains("give a sampling rate of 100 or 500"), "{stderr}");
}
