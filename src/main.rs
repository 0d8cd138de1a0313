//! Settings in, rooms built from the ground up, role chosen, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use counterpart::config::{Cli, DbTool, DemoSettings, Role, Settings};
use counterpart::model::{self, pretrain, registry};
use counterpart::{access, db, evaluate, ingest, prior, scenario, server};

fn main() -> ExitCode {
    // Before there are threads, which could read the environment meanwhile. No file is no fault.
    drop(dotenvy::dotenv());
    let cli = Cli::read();
    model::use_one_thread();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("the runtime does not start")),
    };
    match runtime.block_on(play(cli.role)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

async fn play(role: Role) -> anyhow::Result<ExitCode> {
    match role {
        Role::Serve(settings) => Box::pin(serve(*settings)).await?,
        Role::Demo(settings) => Box::pin(demo(*settings)).await?,
        Role::Work(settings) => work(*settings).await?,
        Role::Child(settings) => child(*settings).await?,
        Role::Pretrain(config) => tokio::task::block_in_place(|| pretrain::show(&config))?,
        Role::Base { command } => {
            let said = tokio::task::block_in_place(|| registry::command::run(&command))?;
            write!(std::io::stdout(), "{said}").context("the answer cannot be printed")?;
        }
        Role::Prior(config) => {
            let mix = prior::command::run(&config).context("the sheets cannot be written")?;
            write!(std::io::stdout(), "{mix}").context("the statistics cannot be printed")?;
        }
        Role::Evaluate(config) => tokio::task::block_in_place(|| evaluate::show(&config))?,
        Role::Import(import) => {
            let summary = ingest::command::run(&import.command, &import.db, &import.reading, &import.ingest).await?;
            write!(std::io::stdout(), "{summary}").context("the summary cannot be printed")?;
        }
        Role::WhatIf(command) => {
            let said = scenario::command::run(&command).await;
            write!(std::io::stdout(), "{}", said.output).context("the answer cannot be printed")?;
            if !said.complaint.is_empty() {
                writeln!(std::io::stderr(), "counterpart: {}", said.complaint)
                    .context("the refusal cannot be printed")?;
            }
            return Ok(ExitCode::from(said.code));
        }
        Role::Key { db, command } => {
            let said = access::command::run(&command, &db).await?;
            write!(std::io::stdout(), "{}", said.output).context("the answer cannot be printed")?;
            write!(std::io::stderr(), "{}", said.remark).context("the remark cannot be printed")?;
        }
        Role::Migrate { db } => db::open(&db).await?.close().await,
        Role::Openapi => {
            let document = server::openapi(&server::Rooms::offline()?);
            writeln!(std::io::stdout(), "{}", document.to_pretty_json()?).context("the document cannot be printed")?;
        }
        Role::Db { db, tool: DbTool::Url } => {
            writeln!(std::io::stdout(), "{}", db::url(&db).await?).context("the address cannot be printed")?;
        }
        Role::Db { db, tool: DbTool::Psql { arguments } } => {
            let code = db::psql(&db, &arguments).await?;
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    counterpart::observe::init(&settings.observe)?;
    server::run(&settings.server, &settings.db, &settings.rooms).await
}

async fn demo(DemoSettings { demo, mut settings }: DemoSettings) -> anyhow::Result<()> {
    counterpart::observe::init(&settings.observe)?;
    settings.db.data_dir.get_or_insert_with(|| "data".into());
    server::demo(&settings.server, &settings.db, &settings.rooms, &demo).await
}

async fn work(settings: Settings) -> anyhow::Result<()> {
    counterpart::observe::init(&settings.observe)?;
    server::work(&settings.db, &settings.rooms).await
}

async fn child(settings: Settings) -> anyhow::Result<()> {
    counterpart::observe::init(&settings.observe)?;
    server::child(&settings.db, &settings.rooms).await
}

fn failed(error: &anyhow::Error) -> ExitCode {
    // Nothing can be done about a standard error that is closed.
    drop(writeln!(std::io::stderr(), "counterpart: {error:#}"));
    ExitCode::FAILURE
}
