//! The commands of this repository, the same on every system: `cargo xtask`.
//!
//! `build` makes what is shipped, `package` packs it, `demo` shows it at work, `test` runs every test, `bench` measures it
//! beside the SDK that it replaces.

mod bench;
mod build;
mod clauses;
mod demo;
mod fields;
mod header;
mod package;
mod powershell;
mod test;
mod tools;
mod windows;

use std::process::ExitCode;

const HELP: &str = "\
Commands of vms-telemetry

  cargo xtask demo     build everything, start a local collector, import the module in a real
                       PowerShell, connect, disconnect, and show what arrived
  cargo xtask test     run every test; with --windows, those on Windows alone
  cargo xtask build    leave the module in out/modules/VmsTelemetry and the native library with
                       its header in out/native/<os>-<arch>; with --target windows, the DLL as well
  cargo xtask package  leave what people install in dist/: the module, the .NET library and the C
                       development kit, with checksums, licences and the list of what is in them
  cargo xtask bench    measure import, events and memory beside Microsoft.ApplicationInsights

They need Rust and the .NET SDK, and say so where one is missing.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["build"] => build::all(false).map(|_| ()),
        ["build", "--target", "windows"] => build::all(true).map(|_| ()),
        ["package"] => package::run_all(),
        ["demo"] => demo::run(),
        ["test"] => test::run(test::Part::All),
        ["test", "--windows"] => test::run(test::Part::Windows),
        ["bench"] => bench::run_all(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("unknown command: {}\n\n{HELP}", words.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("\nerror: {words}");
            ExitCode::FAILURE
        }
    }
}
