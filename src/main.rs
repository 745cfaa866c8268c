//! `authentik-install`: parse, call the verb, map the end to an exit code.

use authentik_install::cli::{Admin, Cli, SettingsVerb, Verb};
use authentik_install::error::{Exit, Failure, Result};
use authentik_install::host::Reader;
use authentik_install::host::interrupt::Interrupt;
use authentik_install::ui::{self, Stdout};
use authentik_install::verbs::{self, World};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = run(&cli).unwrap_or_else(|failure| {
        tracing::error!("{}", failure.summary());
        ui::failure(&failure);
        failure.exit_code()
    });
    ExitCode::from(exit as u8)
}

// Secrets are in it: neither this program nor what it starts leaves a core behind.
fn keep_memory_private() -> Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|errno| Failure::new("forbidding core dumps of", "authentik-install", errno))
}

fn run(cli: &Cli) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new("starting", "authentik-install", error))?;
    // Explicit modes are set on every file; this is for what others create on our behalf.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    keep_memory_private()?;
    ui::journal::start();
    let interrupt = Interrupt::listen(runtime.handle())?;
    let (as_json, progress) = match &cli.verb {
        Verb::Install(args) => (args.json && !args.dry_run, !args.no_progress && !args.dry_run),
        Verb::Backup(args) => (false, !args.create.scheduled),
        _ => (false, false),
    };
    let sink = ui::sink(as_json, progress);
    let host = Reader::new(runtime.handle().clone(), interrupt);
    let world = World { host, told: sink.as_ref(), output: &Stdout };
    let ended = match &cli.verb {
        Verb::Check(args) => verbs::check::run(&world, args),
        Verb::Plan(args) => verbs::plan::run(&world, args),
        Verb::Install(args) => verbs::install::run(&world, args),
        Verb::Verify(args) => verbs::verify::run(&world, args),
        Verb::Status(args) => verbs::status::run(&world, args),
        Verb::Doctor(args) => verbs::doctor::run(&world, args),
        Verb::Backup(args) => verbs::backup::run(&world, args),
        Verb::Restore(args) => verbs::restore::run(&world, args),
        Verb::Admin(Admin::Link(args)) => verbs::admin::print_link(&world, args),
        Verb::Admin(Admin::Password(args)) => verbs::admin::set_password(&world, args),
        Verb::Admin(Admin::ResetGroup(args)) => verbs::admin::reset_group(&world, args),
        Verb::Ak(args) => verbs::admin::ak(&world, args),
        Verb::Logs(args) => verbs::logs::run(&world, args),
        Verb::Settings(SettingsVerb::Init(args)) => verbs::settings::init(&world, args),
        Verb::Settings(SettingsVerb::Show(args)) => verbs::settings::show(&world, args),
        Verb::Settings(SettingsVerb::Check(args)) => verbs::settings::check(&world, args),
        Verb::Uninstall(args) => verbs::uninstall::run(&world, args),
        Verb::Own(args) => verbs::own::run(&world, args),
        Verb::Completions(args) => verbs::manual::completions(&world, args),
        Verb::Man(args) => verbs::manual::man(&world, args),
    };
    // What hangs is left behind: its answer is not waited for any more.
    runtime.shutdown_background();
    ended
}
