//! A cluster of one site: nothing takes over when it's lost, but until then it works.

mod support;

use std::{
    net::{TcpListener, UdpSocket},
    path::Path,
    process::{Child, Stdio},
    thread::sleep,
    time::Duration,
};

use support::{evenkeel, finish};

const BANK: &str = "00000000-0000-4000-8000-00000000000b";

/// A base port whose three are free at the moment.
fn base_port() -> u16 {
    let is_free = |base: &u16| {
        UdpSocket::bind(("127.0.0.1", base + 1)).is_ok()
            && TcpListener::bind(("127.0.0.1", base + 2)).is_ok()
    };
    let any = || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.local_addr().expect("bound").port()
    };
    std::iter::repeat_with(any).filter(|port| *port < 65_000).find(is_free).expect("three in a row")
}

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("ours");
        self.0.wait().expect("ours");
    }
}

fn run(folder: &Path) -> Running {
    let mut command = evenkeel();
    command.args(["run", "--config"]).arg(folder.join("made/alone/node.toml"));
    Running(command.stderr(Stdio::null()).spawn().expect("the program starts"))
}

fn wallet(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = evenkeel();
    command.args(["wallet", "--client"]).arg(folder.join("made/client.toml")).args(arguments);
    finish(command.output().expect("the program starts"))
}

/// Sooner or later; a node takes its time to start.
fn does(folder: &Path, arguments: &[&str]) {
    let mut told = wallet(folder, arguments);
    for _ in 0..200 {
        if told.0 == 0 {
            return;
        }
        sleep(Duration::from_millis(100));
        told = wallet(folder, arguments);
    }
    panic!("{arguments:?}: {}", told.2);
}

#[test]
fn a_site_that_is_alone_decides_for_as_long_as_it_lives_and_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = format!("alone=127.0.0.1:{}", base_port());
    let mut command = evenkeel();
    command.current_dir(folder.path()).args(["cluster", "new", "--out", "made", "--site", &site]);
    let (code, _, error) = finish(command.output().expect("the program starts"));
    assert_eq!(code, 0, "{error}");

    let open = ["open", BANK, "--kind", "bank", "--asset", "KRW"];
    let running = run(folder.path());
    does(folder.path(), &open);
    // Longer than any majority may keep silent.
    sleep(Duration::from_secs(2));
    let (code, _, error) = wallet(folder.path(), &["show", BANK]);
    assert_eq!(code, 0, "{error}");
    drop(running);

    let _running = run(folder.path());
    does(folder.path(), &["show", BANK]);
}
