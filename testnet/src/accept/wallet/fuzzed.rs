//! Row a: schemathesis, a fuzzer that tests the HTTP door against its OpenAPI document, with the
//! operator's key and without one. It must find no 5xx, and no status or shape that isn't in the
//! document.
//!
//! `/v1/events` is left out: its response never ends, and the fuzzer waits for the end. Row e reads
//! it.

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

/// The version whose checks are known to pass: a newer one may have more.
const VERSION: &str = "4.32.5";
/// Cases for each operation; continuous integration sets a lower number in `EVENKEEL_FUZZ_CASES`.
const CASES: &str = "200";
const SEED: &str = "20221015";

/// Facts that the fuzzer can't derive. The ledger may reject a command that fits the document.
/// Rules that the document can't express give 400: ids must be of version 7, and keys of a body
/// must be unique. 503 and 504 are valid answers, too: `/primary` or `/replica` gives one at every
/// site, and commands get them at a site that can't reach its peers under other load. The row looks
/// for 500 and every other 5xx.
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
        print_progress(&format!("fuzzing with {who}, {cases} cases for each operation"));
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

/// Installs the fuzzer once, in its own folder below target/.
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
