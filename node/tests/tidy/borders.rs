//! The borders between modules, as a text search. It catches slips, not tricks: that is what it's for.

use std::{fs, path::Path};

/// A folder or file (from the workspace's root), words that its code must not contain, and the promise behind it.
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
        promise: "the engine is named in replication alone (and by the log filter), so that it can be replaced in one place",
    },
    Border {
        place: "node/ledger/src",
        except: &["node/ledger/src/tests"],
        words: &[
            "SystemTime",
            "Instant",
            "tokio",
            "async ",
            ".await",
            "std::fs",
            "std::net",
            "openraft",
            "rand::",
            "f32",
            "f64",
            "tracing",
            "crate::state",
            "crate::replication",
            "crate::gateway",
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
        place: "storage/src",
        except: &[],
        words: &["tokio", "openraft", "quinn", "evenkeel_wire", "bincode"],
        promise: "disk code knows no runtime, no engine, no network, no commands",
    },
    Border {
        place: "wire/src",
        except: &["wire/src/codec.rs", "wire/src/lib.rs"],
        words: &["evenkeel_storage", "bincode::config"],
        promise: "wire never knows storage, and the codec is pinned in one module",
    },
    Border {
        place: "node/src",
        except: &["node/src/clock"],
        words: &["SystemTime::now", "std::time::Instant::now"],
        promise: "the wall clock is asked in clock.rs alone, so that a simulation owns time",
    },
    Border {
        place: "node/src",
        except: &["node/src/metrics"],
        words: &["prometheus"],
        promise: "the metrics' library, names and labels are one module's affair",
    },
    Border {
        place: "node/src/metrics",
        except: &["node/src/metrics/tests"],
        words: &["crate::"],
        promise: "metrics are told and read by the node, and know nothing of it",
    },
    Border {
        place: "node/src",
        except: &["node/src/history/tests", "node/src/metrics/tests"],
        words: &["println!", "eprintln!"],
        promise: "the node logs; only the command line prints",
    },
];

#[test]
fn borders_between_modules_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root");
    let mut trespasses = Vec::new();
    let mut looked_at = 0;
    for border in BORDERS {
        let mut files = Vec::new();
        rust_files(&root.join(border.place), &mut files);
        rust_files(&root.join(format!("{}.rs", border.place)), &mut files);
        assert!(!files.is_empty(), "{} is gone: mend this test", border.place);
        for file in files {
            let name = file.strip_prefix(root).expect("below the root").display().to_string();
            if border.except.iter().any(|except| name.starts_with(except)) {
                continue;
            }
            looked_at += 1;
            let text = fs::read_to_string(&file).expect("a source file is UTF-8");
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or("");
                for word in border.words.iter().filter(|word| code.contains(**word)) {
                    trespasses.push(format!("{name}:{}: `{word}`: {}", number + 1, border.promise));
                }
            }
        }
    }
    assert!(looked_at > 50, "only {looked_at} files were looked at");
    assert!(trespasses.is_empty(), "\n{}", trespasses.join("\n"));
}

fn rust_files(place: &Path, files: &mut Vec<std::path::PathBuf>) {
    if place.is_file() && place.extension().is_some_and(|ending| ending == "rs") {
        files.push(place.to_owned());
    }
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() || path.extension().is_some_and(|ending| ending == "rs") {
            rust_files(&path, files);
        }
    }
}
