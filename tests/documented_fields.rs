//! `docs/telemetry-fields.md` and a section of about_VmsTelemetry are the table of the code (contract section 2).

#[test]
fn the_documentation_lists_what_the_code_can_send() {
    expect_test::expect_file!["../docs/telemetry-fields.md"].assert_eq(&vms_telemetry::event::documentation());
}

#[test]
fn the_help_topic_lists_what_the_code_can_send() {
    let topic = include_str!("../powershell/module/en-US/about_VmsTelemetry.help.txt").replace("\r\n", "\n");
    let begin = "    This list is generated from the code; there is nothing that is not in it.\n";
    let end = "\nRANDOM IDS\n";
    let (before, rest) = topic.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let expected = [before, begin, &vms_telemetry::event::help(), end, after].concat();
    expect_test::expect_file!["../powershell/module/en-US/about_VmsTelemetry.help.txt"].assert_eq(&expected);
}
