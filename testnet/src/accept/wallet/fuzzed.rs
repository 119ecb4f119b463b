//! Row a: schemathesis, a fuzzer that reads the OpenAPI document and holds the doors to it. With the operator's key and
//! without one, it finds no 5xx, and no status or shape that the document doesn't tell of.
//!
//! `/v1/events` is left out: its answer never ends, and the fuzzer waits for ends. Row e reads it.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, ensure};

use crate::accept::{
    sheet::{ResultSheet, output_text},
    stage,
};
use crate::{
    cluster::{testnet::Testnet, up},
    output::print_progress,
};

/// The version whose checks were seen to pass: a newer one may have more of them.
const VERSION: &str = "4.32.5";
/// Cases for each operation; what continuous integration asks for in `EVENKEEL_FUZZ_CASES` is less.
const CASES: &str = "200";
const SEED: &str = "20221015";

/// What the fuzzer can't know: a command that fits the document may still be rejected by the ledger, and what the
/// document can't say of ids (that they are of version 7) or of bodies (duplicate keys) is a 400. 503 and 504 are answers
/// too: `/primary` or `/replica` says it on every site, and a site that other work keeps from its peers says it of commands.
/// 500, and anything else from 5xx, is what the row looks for.
const SETTINGS: &str = r#"
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503, 504]

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 401, 403, 404, 406, 409, 422, 503, 504]

[checks.negative_data_rejection]
expected-statuses = ["4xx", 503, 504]
"#;

pub(crate) async fn fuzz_documented_api(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let fuzzer = install(testnet)?;
    up::up(testnet, true, true).await?;
    let key = testnet.operator_key()?;
    let settings = testnet.run_folder().join("schemathesis.toml");
    fs::write(&settings, SETTINGS).with_context(|| settings.display().to_string())?;
    let address = testnet.primary().await?.http_address();
    let cases = std::env::var("EVENKEEL_FUZZ_CASES").unwrap_or_else(|_| CASES.to_owned());
    let document = format!("http://{address}/openapi.json");
    let authorization = format!("Authorization: Bearer {key}");
    for (who, header) in [("the operator's key", Some(&authorization)), ("no key", None)] {
        print_progress(&format!("fuzzing with {who}, {cases} cases an operation"));
        let mut arguments = vec!["--config-file", stage::path_text(&settings)?, "run", &document];
        arguments.extend(["--checks", "all", "--max-examples", &cases, "--seed", SEED]);
        arguments.extend(["--exclude-path", "/v1/events", "--request-timeout", "15"]);
        arguments.extend(["--phases", "examples,coverage,fuzzing", "--workers", "1"]);
        arguments.extend(["--suppress-health-check", "all"]);
        if let Some(header) = header {
            arguments.extend(["--header", header]);
        }
        let output = stage::run(&fuzzer, &arguments).await?;
        if !output.status.success() {
            print_progress(&String::from_utf8_lossy(&output.stdout));
        }
        let text = output_text(&output);
        let tail: String = text.chars().skip(text.chars().count().saturating_sub(400)).collect();
        sheet.record_claim(
            format!("with {who}: {} … {tail}", output.status),
            output.status.success(),
        );
    }
    Ok(())
}

/// Into a folder of its own below target/, once.
fn install(testnet: &Testnet) -> anyhow::Result<PathBuf> {
    let folder = testnet.root().join("target/schemathesis");
    let program = folder.join("bin/st");
    let known = Command::new(&program).arg("--version").output();
    let is_it = |out: std::process::Output| String::from_utf8_lossy(&out.stdout).contains(VERSION);
    if known.is_ok_and(is_it) {
        return Ok(program);
    }
    print_progress(&format!("installing schemathesis {VERSION} below target/"));
    let run = |program: &PathBuf, arguments: &[&str]| -> anyhow::Result<()> {
        let done = Command::new(program).args(arguments).output();
        let output = done.with_context(|| format!("{} is missing", program.display()))?;
        ensure!(output.status.success(), "{}: {}", program.display(), output_text(&output));
        Ok(())
    };
    run(&PathBuf::from("python3"), &["-m", "venv", "--clear", stage::path_text(&folder)?])?;
    let pip = folder.join("bin/pip");
    run(
        &pip,
        &["install", "--quiet", "--disable-pip-version-check", &format!("schemathesis=={VERSION}")],
    )?;
    Ok(program)
}
