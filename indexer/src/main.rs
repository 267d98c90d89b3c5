//! The indexer's commands.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use indexer::build::{self, BuildRequest};
use indexer::config::{self, Cli, Command};
use indexer::ending::{EXIT_SETTINGS, Ending};
use indexer::nodes::{self, Wanted};
use indexer::opened::{self, NO_MARKET, Scratch};
use indexer::policy::Policy;
use indexer::progress::{Output, Progress};
use indexer::publish::{self, Change, PublishRequest};
use indexer::stdout::say;
use indexer::update::{self, Base, InPassing, Taking, UpdateRequest};
use indexer::workshop::cache_of;
use indexer::{canary, channels, demo, evaluate, evaluation_page, gc, keys, look, mend, report, telling, watch};
use serde_json::{Value, json};
use snapshots::{Store, Trust};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_SETTINGS) } else { ExitCode::SUCCESS };
        }
    };
    let output = if cli.json { Output::Json } else { Output::Text };
    match run(cli.command, output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match output {
                Output::Json => say(&format!("{}\n", json!({ "event": "error", "error": format!("{error:#}") }))),
                Output::Text => eprintln!("indexer: {error:#}"),
            }
            error.downcast_ref::<Ending>().map_or(ExitCode::FAILURE, |ending| ExitCode::from(ending.exit_code()))
        }
    }
}

async fn run(command: Command, output: Output) -> Result<()> {
    let mut progress = Progress::new(output);
    match command {
        Command::Build(args) => {
            let request = args.request()?;
            let built = build::build(&request, &mut progress).await?;
            tell_built(&built, &request, output);
        }
        Command::Update(args) => {
            let request = UpdateRequest {
                rows: args.rows.request()?,
                rules: args.rules.as_deref().map(config::read_text).transpose().map_err(Ending::settings)?,
                base: Base::named(args.base, args.trust.read()?),
                out: args.out,
                taking: Taking::All,
                looked_at: None,
                in_passing: InPassing::Small,
            };
            let updated = update::update(&request, &config::azure_settings(), &mut progress).await?;
            tell(output, &telling::updated_json(&updated), |_| telling::updated_text(&updated, &request.out));
        }
        Command::Watch(args) => {
            let request = args.request()?;
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let stop = async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            watch::watch(&request, &config::azure_settings(), stop, output, &mut progress).await?;
        }
        Command::Merge(args) => {
            let settings = config::azure_settings();
            let base = Base::named(args.base, args.trust.read()?);
            let manifest = update::merge(&args.out, &base, &settings, &mut progress).await?;
            let told = json!({
                "event": "merged", "snapshot": manifest.id, "size_bytes": manifest.size_bytes(),
                "product_count": manifest.statistics.product_count,
            });
            tell(output, &told, |_| format!("{} has one segment\n", manifest.id));
        }
        Command::Publish(args) => publish(args, output, &mut progress).await?,
        Command::Rollback(args) => {
            let (stores, channel) = (args.channel.stores.open()?, &args.channel.channel);
            let (event, moved) = match args.mend() {
                Some(mended) => {
                    let board = args.channel.stores.board()?;
                    ("mended", mend::mend(&stores, board.as_ref(), &mended, &progress).await?)
                }
                None => {
                    let (to, sequence, reason, dry) = (args.to, args.sequence, args.reason, args.dry_run);
                    let moved = channels::roll_back(&stores, channel, to, sequence, reason, dry, &mut progress).await?;
                    ("rolled_back", moved)
                }
            };
            let told = telling::moved_json(event, channel, &moved, args.dry_run);
            tell(output, &told, |_| telling::moved_text(channel, &moved, args.dry_run));
            if args.wait.wait && !args.dry_run {
                let catalogue = stores.home.get_manifest(&moved.pointer.snapshot).await?.catalogue;
                let wanted = Wanted { catalogue: &catalogue, channel: channel.as_str(), pointer: &moved.pointer };
                wait(&args.wait, &args.channel.stores, &wanted, output).await?;
            }
        }
        Command::Hold(args) => {
            let channel = &args.channel.channel;
            let moved = channels::hold(&args.channel.stores.open()?, channel, args.reason, &mut progress).await?;
            tell(output, &telling::moved_json("held", channel, &moved, false), |_| {
                telling::moved_text(channel, &moved, false)
            });
        }
        Command::Resume(args) => {
            let moved = channels::resume(&args.stores.open()?, &args.channel, &mut progress).await?;
            tell(output, &telling::moved_json("resumed", &args.channel, &moved, false), |_| {
                telling::moved_text(&args.channel, &moved, false)
            });
        }
        Command::Sign(args) => {
            let has_key = args.stores.sign_key.is_some();
            ensure!(has_key, Ending::settings("give the key to sign with: --sign-key FILE"));
            let moved = channels::sign(&args.stores.open()?, &args.channel, &mut progress).await?;
            tell(output, &telling::moved_json("signed", &args.channel, &moved, false), |_| {
                telling::moved_text(&args.channel, &moved, false)
            });
        }
        Command::Pin(args) => {
            let (stores, region) = (args.stores.open()?, &args.pinned);
            if !args.force {
                channels::ensure_known(&stores, args.stores.board()?.as_ref(), region).await?;
            }
            let pinned = channels::pin(&stores, region, &args.to, args.reason, &progress).await?;
            let mut told = telling::pinned_json("pinned", region, &pinned);
            told["snapshot"] = json!(args.to);
            tell(output, &told, |_| telling::pinned_text(region, &args.to, &pinned));
        }
        Command::Unpin(args) => {
            let lifted = channels::unpin(&args.stores.open()?, &args.pinned, &progress).await?;
            let told = telling::pinned_json("unpinned", &args.pinned, &lifted);
            tell(output, &told, |_| telling::unpinned_text(&args.pinned, &lifted));
        }
        Command::Withdraw(args) => {
            let was = canary::withdraw(&args.stores.open()?, None, args.reason, &progress).await?;
            ensure!(was, "no canary is under way");
            tell(output, &json!({ "event": "withdrawn" }), |_| "the canary is taken back\n".to_owned());
        }
        Command::Sync(args) => {
            let synced = args.stores.open()?.sync(args.dry_run, &mut progress).await?;
            tell(output, &telling::synced_json(&synced, args.dry_run), |_| telling::synced_text(&synced, args.dry_run));
            telling::all_synced(&synced)?;
        }
        Command::Keygen(args) => {
            let public = keys::write(&args.file)?;
            let told = json!({ "event": "written", "private": args.file, "public": public });
            tell(output, &told, |_| {
                let (private, public) = (args.file.display(), public.display());
                format!("{private} signs: keep it to publishers\n{public} is for edges: --trust {public}\n")
            });
        }
        Command::Gc(args) => {
            let (store, board, retention) = (args.store.open()?, args.board()?, args.retention());
            let collected = gc::run(&store, board.as_ref(), &retention, args.mode(), &mut progress).await?;
            tell(output, &gc::collected_json(&collected), |_| gc::collected_text(&collected));
        }
        Command::Status(args) => {
            let status = report::status(&args.open()?, args.board()?.as_ref()).await?;
            tell(output, &status, report::status_text);
            report::ensure_readable(&status)?;
        }
        Command::List(args) => {
            let list = report::list(&args.store.open()?, usize::from(args.last)).await?;
            tell(output, &list, report::list_text);
        }
        Command::Show(args) => {
            let manifest = report::show(&args.store.open()?, &args.snapshot).await?;
            tell(output, &serde_json::to_value(&manifest)?, |_| report::show_text(&manifest));
        }
        Command::Diff(args) => {
            let looked = look::diff(&args, &config::azure_settings()).await?;
            tell(output, &looked.json()?, |_| looked.text());
        }
        Command::Check(args) => {
            let findings = look::check(&args, &config::azure_settings()).await?;
            tell(output, &findings.json(), |_| findings.text());
            findings.verdict()?;
        }
        Command::Evaluate(args) => {
            let judged = evaluate::read(&args.queries, &args.judgments, args.min_judged)?;
            let trust = args.trust.read()?;
            let market = args.market.as_deref().unwrap_or(NO_MARKET);
            let rules = args.rules.as_deref().map(config::read_text).transpose()?;
            let evaluation = evaluated(&args.snapshot, trust.as_ref(), market, rules, &judged).await?;
            let against = match &args.against {
                Some(name) => Some(evaluated(name, trust.as_ref(), market, None, &judged).await?),
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
            evaluation.check(&args.floors, &args.ceilings)?;
        }
        Command::DemoCatalogue(args) => {
            demo::write(&args.out, args.products, args.seed, &mut progress)?;
            let told = json!({ "event": "written", "folder": args.out, "products": args.products, "seed": args.seed });
            tell(output, &told, |_| format!("{} synthetic products in {}\n", args.products, args.out.display()));
        }
    }
    Ok(())
}

async fn publish(args: config::Publish, output: Output, progress: &mut Progress) -> Result<()> {
    let request = PublishRequest {
        from: Store::folder(&args.folder)?,
        snapshot: args.snapshot.clone(),
        to: args.stores.create(args.dry_run)?,
        channel: args.channel.clone(),
        reason: args.override_reason.clone(),
        change: Change::Answers,
        canary: args.canary()?,
        dry_run: args.dry_run,
    };
    let policy = args.policy.as_deref().map(Policy::read).transpose().map_err(Ending::settings)?.unwrap_or_default();
    let mut prepared = publish::prepare(&request).await?;
    if !prepared.is_live() {
        let scratch = match &args.cache_dir {
            Some(kept) => Scratch::new(Some(kept))?,
            // Another publish of the same folder may be using it.
            None => Scratch::new(Some(&cache_of(&args.folder))).or_else(|_| Scratch::new(None))?,
        };
        let checked = publish::judge(&request, &prepared, &policy, &scratch).await?;
        drop(scratch);
        if let Some(reason) = args.override_reason.as_ref().filter(|_| !checked.violations.is_empty()) {
            checked.let_through(&mut prepared.manifest, reason);
        }
        tell(output, &telling::checked_json(&checked)?, |_| telling::checked_text(&checked));
        ensure!(
            checked.violations.is_empty() || args.override_reason.is_some(),
            Ending::verdict(
                "the policy does not allow this publish; look at it with 'indexer diff', and publish it all the same with \
                 --override REASON"
            )
        );
    }
    let published = publish::publish(&request, prepared, progress).await?;
    tell(output, &telling::published_json(&published, &request), |_| telling::published_text(&published, &request));
    ensure!(!published.was_withdrawn(), Ending::verdict("the canary was worse than what is live, and is withdrawn"));
    if !args.dry_run {
        let catalogue = &published.manifest.catalogue;
        let wanted = Wanted { catalogue, channel: args.channel.as_str(), pointer: &published.pointer };
        wait(&args.wait, &args.stores, &wanted, output).await?;
    }
    Ok(())
}

/// Waits for the nodes, where that was asked for.
async fn wait(args: &config::WaitArgs, stores: &config::StoresArgs, wanted: &Wanted<'_>, output: Output) -> Result<()> {
    let Some(board) = stores.board()?.filter(|_| args.wait) else { return Ok(()) };
    let nodes = nodes::wait(&board, wanted, Duration::from_secs(args.wait_timeout_s), output).await?;
    tell(output, &telling::followed_json(&nodes), |_| nodes::nodes_text(&nodes, Some(wanted.pointer)));
    Ok(())
}

async fn evaluated(
    snapshot: &str,
    trust: Option<&Trust>,
    market: &str,
    rules: Option<String>,
    judged: &[evaluate::JudgedQuery],
) -> Result<evaluate::Evaluation> {
    let opened = opened::open(snapshot, &config::azure_settings(), trust, market, rules).await?;
    evaluate::evaluate(&opened.index, judged)
}

fn tell(output: Output, value: &Value, text: impl FnOnce(&Value) -> String) {
    match output {
        Output::Json => say(&format!("{value}\n")),
        Output::Text => say(&text(value)),
    }
}

fn tell_built(built: &build::Built, request: &BuildRequest, output: Output) {
    let manifest = &built.manifest;
    let told = json!({
        "event": "built", "snapshot": manifest.id, "catalogue": manifest.catalogue,
        "product_count": manifest.statistics.product_count, "size_bytes": manifest.size_bytes(),
        "rows_read": manifest.validation.rows_read, "rows_rejected": built.rejected,
        "rows_deleted": built.deleted, "rows_expired": built.expired,
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
        if built.deleted > 0 {
            text += &format!("rows of products that are deleted: {}\n", built.deleted);
        }
        if built.expired > 0 {
            text += &format!("items that have expired: {}\n", built.expired);
        }
        if let Some(file) = &built.rejects_file {
            let fields = manifest.validation.rejected_by_field.iter();
            let fields: Vec<String> = fields.map(|(field, count)| format!("{field}: {count}")).collect();
            text += &format!("rows set aside in {}: {} ({})\n", file.display(), built.rejected, fields.join(", "));
        }
        text + &format!("publish it with: indexer publish --store URL {}\n", request.out.display())
    });
}
