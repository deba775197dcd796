//! The commands of this repository, the same on every system: `cargo xtask`.

mod attack;
mod bench;
mod build;
mod cargo;
mod clauses;
mod crates;
mod demo;
mod fields;
mod header;
mod help;
mod needs;
mod package;
mod powershell;
mod stages;
mod test;
mod tools;
mod windows;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// The commands of vms-telemetry. They need Rust and the .NET SDK.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
enum Arguments {
    /// Shows it at work: builds everything, connects in a real PowerShell, shows what arrived at a local collector
    Demo,
    /// Runs every test; says at its start what it leaves out here, and why
    Test {
        /// Only what is tested on Windows
        #[arg(long)]
        windows: bool,
        /// Only this stage, and what it needs; may be given several times
        #[arg(long, value_name = "STAGE")]
        only: Vec<test::Stage>,
    },
    /// Leaves the module in out/modules/VmsTelemetry, the native library with its header in out/native/OS-ARCH
    Build {
        /// The Windows library as well
        #[arg(long)]
        target: Option<Target>,
    },
    /// Leaves what people install in dist/: the module, the .NET library and the C development kit, with checksums
    Package,
    /// Builds the packages from nothing in two folders and compares them
    Reproduce,
    /// Feeds the readers of what others write with arbitrary bytes (Linux; needs g++)
    Fuzz {
        /// Only this target
        target: Option<String>,
        /// For how long each target runs
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Runs the tests of the library and the C programs under a sanitizer (Linux)
    Sanitize {
        /// Which one
        sanitizer: attack::Sanitizer,
    },
    /// Kills, stops and starves 64 processes at a time, while another opts out and in, and compares what they recorded with what
    /// the service got (Linux)
    Chaos {
        /// For how long
        #[arg(long, default_value_t = 1)]
        minutes: u64,
        /// Of the first round, to play it again
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Measures import, events and memory beside Microsoft.ApplicationInsights, and writes docs/performance.md
    Bench {
        /// Only this part
        part: Option<bench::Part>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    Windows,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse() {
        Arguments::Build { target } => build::all(target.is_some(), build::SHIPPED).map(drop),
        Arguments::Package => package::run_all(),
        Arguments::Reproduce => package::reproduce(),
        Arguments::Demo => demo::run(),
        Arguments::Test { windows, only } => test::run(windows, &only),
        Arguments::Fuzz { target, seconds } => attack::fuzz(target.as_deref(), seconds),
        Arguments::Chaos { minutes, seed } => attack::chaos(minutes, seed),
        Arguments::Sanitize { sanitizer } => attack::sanitize(sanitizer),
        Arguments::Bench { part } => bench::run(part),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("\nerror: {words}");
            ExitCode::FAILURE
        }
    }
}
