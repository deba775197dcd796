//! `docs/telemetry-fields.md` is the table of the code (contract section 2).

#[test]
fn the_documentation_lists_what_the_code_can_send() {
    expect_test::expect_file!["../docs/telemetry-fields.md"].assert_eq(&vms_telemetry::event::documentation());
}
