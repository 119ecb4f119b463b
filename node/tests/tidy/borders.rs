//! Borders within a crate, as a search for words. It catches slips, not tricks: that is what it's
//! for.
//!
//! Borders between crates are kept by the compiler: see `crates`.

use crate::{
    assert_tidy,
    sources::{self, Source},
};

/// A folder or file, words that its code must not contain, and the promise behind it.
struct Border {
    place: &'static str,
    except: &'static [&'static str],
    words: &'static [&'static str],
    promise: &'static str,
}

const BORDERS: &[Border] = &[
    Border {
        place: "node/src",
        except: &["node/src/replication", "node/src/config/log_filter.rs"],
        words: &["openraft"],
        promise: "only replication names the engine, so that it can be replaced in one place",
    },
    Border {
        place: "node/ledger/src",
        except: &["node/ledger/src/tests"],
        words: &[
            "SystemTime",
            "Instant",
            "async ",
            ".await",
            "std::fs",
            "std::io",
            "std::net",
            "std::thread",
            "std::time",
            "f32",
            "f64",
        ],
        promise: "the ledger is pure: same commands, same bytes, on every node",
    },
    Border {
        place: "node/src/gateway",
        except: &[],
        words: &["ledger::", "evenkeel_storage", "journal::Journal"],
        promise: "doors don't decide, and know no disk",
    },
    Border {
        place: "node/src/gateway/admin",
        except: &[],
        words: &["Transfer", "Command", "Road", "Ticket"],
        promise: "operators don't move money",
    },
    Border {
        place: "node/src/admission",
        except: &[],
        words: &["balance(", "posted", ".account(", ".totals("],
        promise: "only the ledger, behind the log, judges money",
    },
    Border {
        place: "wire/src",
        except: &["wire/src/codec.rs", "wire/src/lib.rs"],
        words: &["bincode::config"],
        promise: "the codec is pinned in one module",
    },
    Border {
        place: "node/src",
        except: &["node/src/clock"],
        words: &["SystemTime::now", "std::time::Instant::now"],
        promise: "only the clock module reads the wall clock, so that a simulation owns time",
    },
    Border {
        place: "node/src",
        except: &["node/src/metrics"],
        words: &["prometheus"],
        promise: "only metrics knows the library, the names and the labels",
    },
    Border {
        place: "node/src/metrics",
        except: &["node/src/metrics/tests"],
        words: &["crate::"],
        promise: "the node writes and reads metrics; metrics know nothing of the node",
    },
    Border {
        place: "node/src",
        except: &["node/src/history/tests", "node/src/metrics/tests"],
        words: &["println!", "eprintln!"],
        promise: "the node logs; only the program prints",
    },
    Border {
        place: "node/src",
        except: &[],
        words: &["catch_unwind", "panic::set_hook", "panic::take_hook"],
        promise: "a panic ends the process: nobody catches it",
    },
    Border {
        place: "node/cli/src",
        except: &["node/cli/src/panics.rs"],
        words: &["catch_unwind", "panic::set_hook", "panic::take_hook"],
        promise: "a panic ends the process: nobody catches it",
    },
    Border {
        place: "storage/src",
        except: &["storage/src/balances/checkpoint.rs"],
        words: &["catch_unwind", "panic::set_hook"],
        promise: "only sled may panic: what it leaves behind is rebuilt",
    },
    Border {
        place: "wire/src",
        except: &[],
        words: &["catch_unwind", "panic::set_hook"],
        promise: "a panic ends the process: nobody catches it",
    },
    Border {
        place: "node/src",
        except: &[
            "node/src/history/threads.rs",
            "node/src/node/mod.rs",
            "node/src/telemetry/log_queue.rs",
            "node/src/telemetry/timeline",
        ],
        words: &["thread::spawn", "thread::Builder"],
        promise: "the node's threads are started in one place, and named",
    },
];

#[test]
fn borders_between_modules_hold() {
    let sources = sources::all();
    for border in BORDERS {
        let exists = sources.iter().any(|source| border.holds_for(source));
        assert!(exists, "{} is gone: change this test", border.place);
    }
    assert_tidy(&trespasses(&sources, BORDERS));
}

impl Border {
    fn holds_for(&self, source: &Source) -> bool {
        let below = |place: &str| {
            source.path.strip_prefix(place).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || place.ends_with(".rs")
            })
        };
        below(self.place) && !self.except.iter().any(|except| below(except))
    }
}

fn trespasses(sources: &[Source], borders: &[Border]) -> Vec<String> {
    let mut complaints = Vec::new();
    for border in borders {
        for source in sources.iter().filter(|source| border.holds_for(source)) {
            for (number, line) in source.text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or("");
                for word in border.words.iter().filter(|word| code.contains(**word)) {
                    let (path, promise) = (&source.path, border.promise);
                    complaints.push(format!("{path}:{}: `{word}`: {promise}", number + 1));
                }
            }
        }
    }
    complaints
}

#[test]
fn a_forbidden_word_is_named() {
    let border = Border {
        place: "node/src/a",
        except: &["node/src/a/b.rs"],
        words: &["disk"],
        promise: "p",
    };
    let text = "fn f() {}\nuse disk; // disk\n// disk\n";
    let sources = ["node/src/a/c.rs", "node/src/a/b.rs", "node/src/ab.rs"]
        .map(|path| Source::new(path, text));
    assert_eq!(trespasses(&sources, &[border]), ["node/src/a/c.rs:2: `disk`: p"]);
}
