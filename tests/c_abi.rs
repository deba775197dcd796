//! The library as it is shipped, from C: `out/native`, which `cargo xtask build` makes.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Home, arrived, key};
use object::Object;
use vms_collector::Collector;

/// The folder with the library and its header.
fn native() -> PathBuf {
    let folder = std::env::var_os("VMS_TEST_NATIVE").expect("run `cargo xtask test`, which builds the library first");
    PathBuf::from(folder)
}

fn library() -> PathBuf {
    native().join(format!("{}vms_telemetry{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// Compiles a C program of `tests/c` against the header, with every warning an error. Where these tests run under Wine
/// there is no compiler, and the program was compiled beforehand in the same way.
fn compile(name: &str, folder: &Path) -> PathBuf {
    if let Some(compiled) = std::env::var_os("VMS_TEST_PROGRAMS") {
        return PathBuf::from(compiled).join(name).with_extension(std::env::consts::EXE_EXTENSION);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
    let program = folder.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    let target = env!("VMS_TEST_TARGET");
    let tool = cc::Build::new().target(target).host(target).opt_level(0).cargo_metadata(false).get_compiler();
    let mut command = tool.to_command();
    if tool.is_like_msvc() {
        command.args(["/nologo", "/std:c11", "/W4", "/WX"]).arg(format!("/Fe:{}", program.display()));
        command.arg(format!("/Fo:{}", folder.join("object.obj").display())).arg("/I").arg(native()).arg(source);
    } else {
        command.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-pthread", "-o"]).arg(&program);
        command.arg("-I").arg(native()).arg(source).arg("-ldl");
    }
    assert!(command.status().unwrap().success(), "{command:?}");
    program
}

fn run(program: &Path, home: &Home, connection_string: &str) -> String {
    let mut command = Command::new(program);
    command.arg(library()).env_remove("DO_NOT_TRACK");
    for folder in ["HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "LOCALAPPDATA", "ProgramData"] {
        command.env(folder, home.path().join(folder));
    }
    command.env("VMS_ApplicationInsights__ConnectionString", connection_string);
    let output = command.output().unwrap();
    let (printed, complained) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{printed}{complained}", output.status);
    assert_eq!(complained, "", "a library writes nothing to the console");
    printed
}

#[test]
fn a2_a3_a4_a_c_program_calls_everything_with_good_null_and_garbage_input() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let program = compile("smoke", home.path());
    let printed = run(&program, &home, &collector.connection_string(&key));
    assert!(printed.ends_with("all checks passed\n"), "{printed}");
    let names: Vec<_> = arrived(&collector, &key, 3)
        .iter()
        .map(|item| item.envelope["data"]["baseData"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["NewSession", "NewVmsSession", "CloseVmsSession"]);
}

#[test]
fn s2_a3_many_threads_share_one_session() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let program = compile("threads", home.path());
    let printed = run(&program, &home, &collector.connection_string(&key));
    assert!(printed.ends_with("all checks passed\n"), "{printed}");
    let received = arrived(&collector, &key, 1 + 8 * 2);
    let news = received.iter().filter(|item| item.envelope["data"]["baseData"]["name"] == "NewSession").count();
    assert_eq!(news, 1);
}

#[test]
fn a1_the_library_exports_what_the_header_declares_and_nothing_else() {
    let content = std::fs::read(library()).unwrap();
    let exports: BTreeSet<String> = object::File::parse(&*content)
        .unwrap()
        .exports()
        .unwrap()
        .map(|export| match export.unwrap().name() {
            object::read::NameOrOrdinal::Name(name) => String::from_utf8(name.to_vec()).unwrap(),
            object::read::NameOrOrdinal::Ordinal(ordinal) => format!("without a name: {ordinal}"),
        })
        .collect();
    let header = std::fs::read_to_string(native().join("vms_telemetry.h")).unwrap();
    let declared: BTreeSet<String> = header
        .lines()
        .filter_map(|line| line.strip_prefix("int32_t "))
        .map(|line| line.split('(').next().unwrap().to_owned())
        .collect();
    assert_eq!(exports, declared);
    assert_eq!(declared.len(), 7, "{declared:?}");
}
