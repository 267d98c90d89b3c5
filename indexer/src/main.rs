//! The indexer's commands.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use indexer::build::{self, BuildRequest};
use indexer::config::{self, Cli, Command};
use indexer::opened::{self, folder_url};
use indexer::progress::{Output, Progress};
use indexer::publish::{self, PublishRequest};
use indexer::{demo, evaluate, evaluation_page, report};
use serde_json::{Value, json};
use snapshots::Store;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command line is at fault (EX_USAGE of sysexits.h).
const EXIT_USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let output = if cli.json { Output::Json } else { Output::Text };
    match run(cli.command, output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match output {
                Output::Json => println!("{}", json!({ "event": "error", "error": format!("{error:#}") })),
                Output::Text => eprintln!("indexer: {error:#}"),
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, output: Output) -> Result<()> {
    let mut progress = Progress::new(output);
    match command {
        Command::Build(args) => {
            let request = BuildRequest {
                mapping: args.mapping()?,
                rejects: args.reject_policy(),
                rules: args.rules.clone(),
                recorded_queries: args.recorded_queries.clone(),
                catalogue: args.catalogue,
                inputs: args.inputs,
                format: args.format,
                out: args.out,
            };
            let built = build::build(&request, &mut progress).await?;
            tell_built(&built, &request, output);
        }
        Command::Publish(args) => {
            let request = PublishRequest {
                from: open(&folder_url(&args.folder)?)?,
                snapshot: args.snapshot,
                to: destination(&args.store.store, args.dry_run)?,
                channel: args.channel,
                dry_run: args.dry_run,
            };
            let published = publish::publish(&request, &mut progress).await?;
            tell_published(&published, &request, output);
        }
        Command::Status(args) => {
            let status = report::status(&open(&args.store)?).await?;
            tell(output, &status, report::status_text);
        }
        Command::List(args) => {
            let list = report::list(&open(&args.store)?).await?;
            tell(output, &list, report::list_text);
        }
        Command::Show(args) => {
            let manifest = report::show(&open(&args.store.store)?, &args.snapshot).await?;
            tell(output, &serde_json::to_value(&manifest)?, |_| report::show_text(&manifest));
        }
        Command::Check(args) => {
            let rules = args.rules.as_deref().map(read_text).transpose()?;
            let opened = opened::open_with(&args.snapshot, rules, &config::azure_settings()).await?;
            let findings = opened.index.check_rules(jiff::Timestamp::now());
            let told = json!({
                "event": "checked", "rules": opened.index.rules().count(),
                "faults": findings.faults, "doubts": findings.doubts,
            });
            tell(output, &told, |_| report::findings_text(opened.index.rules().count(), &findings));
            ensure!(findings.faults.is_empty(), "{} of the rules are at fault", findings.faults.len());
        }
        Command::Evaluate(args) => {
            let judged = evaluate::read(&args.queries, &args.judgments, args.min_judged)?;
            let evaluation = evaluated(&args.snapshot, &judged).await?;
            let against = match &args.against {
                Some(name) => Some(evaluated(name, &judged).await?),
                None => None,
            };
            let mut value = serde_json::to_value(&evaluation)?;
            if let Some(against) = &against {
                value["against"] = serde_json::to_value(against)?;
            }
            tell(output, &value, |_| evaluate::text(&evaluation, against.as_ref(), args.worst));
            if let Some(path) = &args.html {
                let page = evaluation_page::page(&args.snapshot, &evaluation, against.as_ref());
                std::fs::write(path, page).with_context(|| path.display().to_string())?;
            }
            evaluation.check(&args.floors)?;
        }
        Command::DemoCatalogue(args) => {
            demo::write(&args.out, args.products, args.seed, &mut progress)?;
            let told = json!({ "event": "written", "folder": args.out, "products": args.products, "seed": args.seed });
            tell(output, &told, |_| format!("{} synthetic products in {}\n", args.products, args.out.display()));
        }
    }
    Ok(())
}

async fn evaluated(snapshot: &str, judged: &[evaluate::JudgedQuery]) -> Result<evaluate::Evaluation> {
    let opened = opened::open(snapshot, &config::azure_settings()).await?;
    evaluate::evaluate(&opened.index, judged)
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// The store to publish to: a folder is made, but not by a dry run, which takes a missing one for an empty one.
fn destination(url: &str, dry_run: bool) -> Result<Store> {
    match (dry_run, Store::open(url, &config::azure_settings())) {
        (true, Err(snapshots::Error::NoFolder(_))) => Ok(Store::open("memory://", &[])?),
        (true, opened) => Ok(opened?),
        (false, _) => Ok(Store::create(url, &config::azure_settings())?),
    }
}

fn open(url: &str) -> Result<Store> {
    Ok(Store::open(url, &config::azure_settings())?)
}

fn tell(output: Output, value: &Value, text: impl FnOnce(&Value) -> String) {
    match output {
        Output::Json => println!("{value}"),
        Output::Text => print!("{}", text(value)),
    }
}

fn tell_built(built: &build::Built, request: &BuildRequest, output: Output) {
    let manifest = &built.manifest;
    let told = json!({
        "event": "built", "snapshot": manifest.id, "catalogue": manifest.catalogue,
        "product_count": manifest.statistics.product_count, "size_bytes": manifest.size_bytes(),
        "rows_read": manifest.validation.rows_read, "rows_rejected": built.rejected,
        "rejected_by_field": manifest.validation.rejected_by_field, "rejects_file": built.rejects_file,
        "products_per_second": built.products_per_second.round(),
        "objects": manifest.objects.iter().map(|object| object.blake3.to_string()).collect::<Vec<_>>(),
    });
    tell(output, &told, |_| {
        let mut text = format!(
            "built {} ({}): {} products, {}, {:.0} products/s\n",
            manifest.id,
            manifest.catalogue,
            manifest.statistics.product_count,
            report::bytes(manifest.size_bytes()),
            built.products_per_second,
        );
        if let Some(file) = &built.rejects_file {
            let fields = manifest.validation.rejected_by_field.iter();
            let fields: Vec<String> = fields.map(|(field, count)| format!("{field}: {count}")).collect();
            text += &format!("rows set aside in {}: {} ({})\n", file.display(), built.rejected, fields.join(", "));
        }
        text + &format!("publish it with: indexer publish --store URL {}\n", request.out.display())
    });
}

fn tell_published(published: &publish::Published, request: &PublishRequest, output: Output) {
    let (id, channel) = (&published.manifest.id, &request.channel);
    let event = match (published.already_live, request.dry_run) {
        (true, _) => "unchanged",
        (false, true) => "dry_run",
        (false, false) => "announced",
    };
    let told = json!({
        "event": event, "snapshot": id, "channel": channel.as_str(), "sequence": published.pointer.sequence,
        "uploaded_objects": published.uploaded_objects, "uploaded_bytes": published.uploaded_bytes,
        "previous": published.previous.as_ref().map(|previous| &previous.snapshot),
    });
    tell(output, &told, |_| {
        let before = published.previous.as_ref().map_or("nothing".to_owned(), |previous| previous.snapshot.to_string());
        let upload = format!("{} objects, {}", published.uploaded_objects, report::bytes(published.uploaded_bytes));
        match event {
            "unchanged" => {
                format!("channel '{channel}' is at {id} already (sequence {})\n", published.pointer.sequence)
            }
            "dry_run" => format!("would upload {upload}, then move channel '{channel}' from {before} to {id}\n"),
            _ => format!(
                "channel '{channel}' is at {id} (sequence {}); uploaded {upload}; before: {before}\n",
                published.pointer.sequence
            ),
        }
    });
}
