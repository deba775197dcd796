//! The fuzzer's program: runs the target that the environment variable names. Without instrumentation it only says how to use it.
#![cfg_attr(fuzzing, no_main)]

#[cfg(any(test, fuzzing))]
#[expect(unsafe_code, reason = "it calls the C ABI")]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a target says so if a promise is broken")]
mod c_abi;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    use std::sync::LazyLock;
    static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
        let wanted = std::env::var("VMS_FUZZ_TARGET").unwrap_or_default();
        let readers = vms_telemetry::fuzz::TARGETS.iter().copied();
        let found = readers.chain([("c_abi", c_abi::run as fn(&[u8]))]).find(|(name, _)| *name == wanted);
        found.map(|(_, target)| target).expect("VMS_FUZZ_TARGET names a target")
    });
    TARGET(input);
});

#[cfg(not(fuzzing))]
#[expect(clippy::print_stderr, reason = "a program says how to use it")]
fn main() -> std::process::ExitCode {
    eprintln!("This program needs instrumentation: cargo xtask fuzz");
    std::process::ExitCode::FAILURE
}
