//! The command line.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use futures_util::{Stream, StreamExt};
use herenow::auth::Secret;
use herenow::auth::mint::TokenOrder;
use herenow::clock::Clock;
use herenow::config::{ClusterFlags, ConfigFile, FileFlag, SECRET_VARIABLES, shown};
use herenow::limits::{MEMORY_DECAY_MS, SOCKETS_EVERY};
use herenow::logging;
use herenow::server::probe::{Asking, probe};
use herenow::terminal::{self, Out, TOKEN_VARIABLE, Typed};
use herenow::webhooks::receiver::SECRET_VARIABLE as WEBHOOK_SECRET_VARIABLE;
use herenow::webhooks::{ReceiverFlags, receive};
use herenow::{Broker, Config};
use tikv_jemalloc_ctl::{Access, AsName};
use tikv_jemallocator::Jemalloc;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::SignalStream;

/// The allocator that people run the broker with; the library leaves the choice to its user.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Who is here, now? A realtime presence broker in one binary. Clients hold one WebSocket each,
/// join channels, and are told who else is there: who comes, who goes, who was lost, and what they
/// set about themselves.
#[derive(Parser)]
#[command(name = "herenow", version, max_term_width = 100, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Option<CliCommand>,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Serve (what `herenow` alone does too)
    Serve {
        #[command(flatten)]
        config: Box<Config>,
    },
    /// Print what is in force, as a configuration file, and where each value came from
    #[command(name = "config")]
    ShowConfig {
        #[command(flatten)]
        config: Box<Config>,
    },
    /// Ask the broker on this machine that these flags are for whether it is alive: ends with 0, or with
    /// 1 and a line that says why not
    Health {
        #[command(flatten)]
        config: Box<Config>,
        /// Ask whether newcomers should come, instead
        #[arg(long)]
        ready: bool,
    },
    /// Serve, and `/echo` besides: a WebSocket that answers each text with itself, for suites that test servers
    #[command(hide = true)]
    Echo {
        #[command(flatten)]
        config: Box<Config>,
    },
    /// Print the nodes that share a Redis: how each stands, its lease, members and channels
    Nodes {
        #[command(flatten)]
        file: FileFlag,
        #[command(flatten)]
        cluster: Box<ClusterFlags>,
    },
    /// Take what a webhook sends, verify it, and print a line for each thing that it tells
    WebhookTest {
        #[command(flatten)]
        receiver: ReceiverFlags,
    },
    /// Print a token for development, signed with the secret of HS256 tokens
    Token {
        #[command(flatten)]
        file: FileFlag,
        #[command(flatten)]
        order: Box<TokenOrder>,
    },
    #[command(flatten)]
    Terminal(Typed),
}

const AFTER_HELP: &str = "\
Each flag has a twin in the environment: --presence-timeout 30s is HERENOW_PRESENCE_TIMEOUT=30s.
Times are written as 250ms, 2s or 1m.

Try it:
  herenow                   then open http://127.0.0.1:8080 in two browser tabs
  npx wscat -c 'ws://127.0.0.1:8080/ws?user=ada'
                            then type: sub room, join room mood=happy, help";

fn main() -> ExitCode {
    give_back_soon();
    let asked = match parse() {
        Ok(asked) => asked,
        Err(error) => return explain(&error),
    };
    let Cli { command, config } = asked.cli;
    let with_sections = |mut config: Config| {
        config.channels = asked.file.as_ref().map(ConfigFile::channels).unwrap_or_default();
        config
    };
    let done = match command {
        None => serve_with(with_sections(config)),
        Some(CliCommand::Serve { config }) => serve_with(with_sections(*config)),
        Some(CliCommand::Echo { config }) => {
            serve_with(Config { echo: true, ..with_sections(*config) })
        }
        Some(CliCommand::ShowConfig { config }) => {
            print_config(with_sections(*config), &asked.matches, asked.file.as_ref()).map(well)
        }
        Some(CliCommand::Health { config, ready }) => health(&config, ready).map(well),
        Some(CliCommand::Nodes { cluster, .. }) => nodes(*cluster).map(well),
        Some(CliCommand::WebhookTest { receiver }) => webhook_test(receiver).map(well),
        Some(CliCommand::Token { order, .. }) => token(*order).map(well),
        Some(CliCommand::Terminal(typed)) => at_terminal(typed).map(well),
    };
    done.unwrap_or_else(|why| fail(&why))
}

fn well((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// What the command line asks for, with what a configuration file says beneath it.
struct Asked {
    cli: Cli,
    matches: ArgMatches,
    file: Option<ConfigFile>,
}

/// The command line. It is read once to learn of the file, and once more with the file beneath it.
fn parse() -> Result<Asked, clap::Error> {
    let command = without_empty(Cli::command()).mut_subcommands(without_empty);
    let matches = command.clone().try_get_matches()?;
    let within = matches.subcommand().map_or(&matches, |(_, within)| within);
    // Not every command has that flag.
    let path = within.try_get_one::<PathBuf>("config").ok().flatten();
    let (matches, file) = match path {
        None => (matches, None),
        Some(path) => {
            let file = ConfigFile::read(path, &flags())
                .map_err(|why| clap::Error::raw(ErrorKind::ValueValidation, why))?;
            (file.beneath(command).try_get_matches()?, Some(file))
        }
    };
    Ok(Asked { cli: Cli::from_arg_matches(&matches)?, matches, file })
}

/// All flags of the broker.
fn flags() -> Command {
    without_empty(Config::augment_args(Command::new("herenow")))
}

/// The flags without the variables that are set to nothing, which count as not set: that is what
/// templates and compose files leave behind. A secret alone isn't read here: an empty one is refused,
/// since the broker would else believe whatever name a client says.
fn without_empty(command: Command) -> Command {
    let is_empty =
        |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command.mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg })
}

/// Has the allocator give freed memory back after [`MEMORY_DECAY_MS`]: before there are threads, whose
/// arenas begin with it.
fn give_back_soon() {
    for key in ["arenas.dirty_decay_ms\0", "arena.0.dirty_decay_ms\0"] {
        // An allocator that was built otherwise keeps what is freed for longer, and nothing else.
        let _ = key.name().write(MEMORY_DECAY_MS);
    }
}

/// One line on standard error.
fn fail(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "herenow: {why}");
    ExitCode::FAILURE
}

/// What clap has to say: help and version as they are, a mistake in one line.
fn explain(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let mut why = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    if why.ends_with(':') {
        // What is missing stands in the lines below.
        why.extend(lines.take_while(|line| !line.is_empty()).flat_map(|line| [" ", line]));
    }
    let _ = writeln!(std::io::stderr(), "herenow: {why}");
    ExitCode::from(2)
}

/// The secret that the environment holds, for what has no flag: a command line is there for all to
/// read. Set but empty is a secret too, and a bad one: most likely a mistake.
fn secret(variable: &str) -> Option<Secret> {
    std::env::var_os(variable).map(|value| Secret::new(value.as_encoded_bytes()))
}

fn print_config(
    mut config: Config,
    matches: &ArgMatches,
    file: Option<&ConfigFile>,
) -> Result<(), String> {
    config.identity.take_secrets(secret);
    config.cluster.take_secrets(secret);
    config.check()?;
    let set = |variable: &&str| secret(variable).is_some();
    let secrets: Vec<_> = SECRET_VARIABLES.into_iter().filter(set).collect();
    let matches = matches.subcommand().map_or(matches, |(_, within)| within);
    let text = shown::shown(&flags(), matches, file, &secrets);
    write!(std::io::stdout(), "{text}").map_err(|error| format!("standard output: {error}"))
}

fn token(mut order: TokenOrder) -> Result<(), String> {
    order.tokens.take_secrets(secret);
    let token = order.mint(Clock::start().now())?;
    writeln!(std::io::stdout(), "{token}").map_err(|error| format!("standard output: {error}"))
}

#[tokio::main(flavor = "current_thread")]
async fn health(config: &Config, ready: bool) -> Result<(), String> {
    probe(config, if ready { Asking::Ready } else { Asking::Alive }).await
}

#[tokio::main(flavor = "current_thread")]
async fn nodes(mut flags: ClusterFlags) -> Result<(), String> {
    flags.take_secrets(secret);
    let table = herenow::redis::list(&flags).await?;
    write!(std::io::stdout(), "{table}").map_err(|error| format!("standard output: {error}"))
}

#[tokio::main(flavor = "current_thread")]
async fn webhook_test(mut flags: ReceiverFlags) -> Result<(), String> {
    flags.secret = secret(WEBHOOK_SECRET_VARIABLE);
    receive(&flags, |line| writeln!(std::io::stdout(), "{line}").is_ok()).await
}

#[tokio::main(flavor = "current_thread")]
async fn at_terminal(mut typed: Typed) -> Result<(), String> {
    typed.take_token(secret(TOKEN_VARIABLE));
    let mut signals = termination()?;
    let is_terminal = std::io::stdout().is_terminal();
    let colors = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let out = Out::new(Box::new(std::io::stdout()), is_terminal, colors);
    terminal::run(typed, out, Box::pin(async move { _ = signals.next().await })).await
}

fn serve_with(mut config: Config) -> Result<ExitCode, String> {
    config.identity.take_secrets(secret);
    config.cluster.take_secrets(secret);
    serve(&config)
}

fn serve(config: &Config) -> Result<ExitCode, String> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().event_interval(SOCKETS_EVERY).build();
    let runtime = runtime.map_err(|error| format!("can't start threads: {error}"))?;
    let outcome = runtime.block_on(run(config));
    // What is under way on threads of its own, as a file that is read, would be waited for without end.
    runtime.shutdown_background();
    outcome
}

async fn run(config: &Config) -> Result<ExitCode, String> {
    let _log = logging::start(config)?;
    let (signals, reloads) = (termination()?, stream_of(SignalKind::hangup())?);
    let broker = herenow::start(config)?;
    // Whoever starts it may read no further than the first line, or nothing.
    let _ = std::io::stdout().write_all(greeting(&broker).as_bytes());
    Ok(until_ended(broker, signals, reloads).await)
}

/// Serves until a signal ends the broker, or it can't be relied on any longer. A second signal does not wait
/// for the end.
async fn until_ended(
    broker: Broker,
    mut signals: impl Stream<Item = ()> + Unpin,
    reloads: impl Stream<Item = ()> + Unpin,
) -> ExitCode {
    let code = tokio::select! {
        () = wait(&mut signals, reloads, async || broker.reload().await) => {
            tracing::info!("shutting down");
            ExitCode::SUCCESS
        }
        what = broker.failed() => {
            tracing::error!(what, "shutting down: a bug ended what everybody depends on");
            ExitCode::FAILURE
        }
    };
    tokio::select! {
        () = broker.stop() => code,
        _ = signals.next() => {
            tracing::error!("a second signal came: ended at once");
            ExitCode::FAILURE
        }
    }
}

fn greeting(broker: &Broker) -> String {
    let (address, s) = (broker.address(), if broker.speaks_tls() { "s" } else { "" });
    // "All addresses" is none that a client could name.
    let port = address.port();
    let here = if address.ip().is_unspecified() {
        format!("localhost:{port}")
    } else {
        address.to_string()
    };
    let admin =
        broker.admin_address().map(|admin| format!("  admin   http://{admin}/metrics, /readyz\n"));
    format!(
        "listening on http{s}://{address}\n  \
           demo    http{s}://{here}/ in two browser tabs\n  \
           wscat   npx wscat -c 'ws{s}://{here}/ws?user=ada'   then type: help\n{}",
        admin.unwrap_or_default()
    )
}

fn stream_of(kind: SignalKind) -> Result<SignalStream, String> {
    signal(kind).map(SignalStream::new).map_err(|error| format!("can't wait for signals: {error}"))
}

/// Ctrl-c and SIGTERM, as one stream.
fn termination() -> Result<impl Stream<Item = ()> + Unpin, String> {
    let (interrupt, terminate) =
        (stream_of(SignalKind::interrupt())?, stream_of(SignalKind::terminate())?);
    Ok(futures_util::stream::select(interrupt, terminate))
}

/// Waits for a signal that ends the broker, and has it `reload` at each SIGHUP until then: one after the
/// other, and a signal that ends it waits for none.
async fn wait(
    signals: &mut (impl Stream<Item = ()> + Unpin),
    mut reloads: impl Stream<Item = ()> + Unpin,
    reload: impl AsyncFn(),
) {
    let reloading = async {
        while let Some(()) = reloads.next().await {
            reload().await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = signals.next() => {}
        () = reloading => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broker_that_cannot_be_relied_on_ends_as_a_failure() {
        let listen = ([127, 0, 0, 1], 0).into();
        let broker = herenow::start(&Config { listen, ..Config::default() }).unwrap();
        tokio::spawn(broker.hub().vital().mind("a test", async { panic!("on purpose") }));
        let never = futures_util::stream::pending;
        assert_eq!(until_ended(broker, never(), never()).await, ExitCode::FAILURE);
        let broker = herenow::start(&Config { listen, ..Config::default() }).unwrap();
        let signal = futures_util::stream::iter([()]).chain(never());
        assert_eq!(until_ended(broker, signal, never()).await, ExitCode::SUCCESS);
    }
}
